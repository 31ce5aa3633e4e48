//! Sparklines and bars: small SVG, sized by attributes, coloured by the style sheet.
//!
//! They repeat what stands beside them in figures, so they are hidden from screen readers.

use std::fmt::Write;

use maud::{Markup, html};

use crate::history::SAMPLES;

const WIDTH: f32 = 120.0;
const HEIGHT: f32 = 28.0;
/// Room for the line's own width at the top and the bottom.
const MARGIN: f32 = 2.0;

/// A line over time, newest sample at the right edge. The top is the largest sample, but at least
/// `floor`, so that noise around nothing does not look like a mountain range. NaN is a gap.
pub(super) fn spark(samples: &[f32], floor: f32) -> Markup {
    let samples = &samples[samples.len().saturating_sub(SAMPLES)..];
    let top = samples.iter().copied().filter(|s| s.is_finite()).fold(floor, f32::max);
    let (line, area) = paths(samples, top.max(f32::MIN_POSITIVE));
    html! {
        svg.spark viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) preserveAspectRatio="none" aria-hidden="true" focusable="false" {
            @if !line.is_empty() {
                path.area d=(area) {}
                path.line d=(line) {}
            }
        }
    }
}

/// The line, and the area below it, as SVG path data.
fn paths(samples: &[f32], top: f32) -> (String, String) {
    let step = WIDTH / (SAMPLES - 1) as f32;
    let first = WIDTH - step * samples.len().saturating_sub(1) as f32;
    let (mut line, mut area) = (String::new(), String::new());
    let mut last: Option<f32> = None;
    for (i, sample) in samples.iter().enumerate() {
        let x = first + step * i as f32;
        if !sample.is_finite() {
            if let Some(x) = last.take() {
                let _ = write!(area, "L{x:.1} {HEIGHT}Z");
            }
            continue;
        }
        let y = HEIGHT - MARGIN - (HEIGHT - 2.0 * MARGIN) * (sample / top).clamp(0.0, 1.0);
        if last.is_none() {
            // Twice, so that a single sample between gaps is a dot and not nothing.
            let _ = write!(line, "M{x:.1} {y:.1}L{x:.1} {y:.1}");
            let _ = write!(area, "M{x:.1} {HEIGHT}L{x:.1} {y:.1}");
        } else {
            let _ = write!(line, "L{x:.1} {y:.1}");
            let _ = write!(area, "L{x:.1} {y:.1}");
        }
        last = Some(x);
    }
    if let Some(x) = last {
        let _ = write!(area, "L{x:.1} {HEIGHT}Z");
    }
    (line, area)
}

/// A bar of `mine` and `others` up to `limit`; without a limit nothing is full and nothing is drawn.
pub(super) fn bar(mine: u64, others: u64, limit: Option<u64>) -> Markup {
    let Some(limit) = limit.filter(|&limit| limit > 0) else { return html! {} };
    let share = |n: u64| (n as f64 / limit as f64 * 100.0).min(100.0);
    let (mine, all) = (share(mine), share(mine.saturating_add(others)));
    html! {
        svg.bar viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true" focusable="false" {
            rect.rail width="100" height="4" {}
            rect.others width=(format!("{all:.1}")) height="4" {}
            rect.mine width=(format!("{mine:.1}")) height="4" {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_sample_stands_at_the_right_edge() {
        let (line, _) = paths(&[0.0, 4.0], 4.0);
        assert!(line.ends_with("L120.0 2.0"), "{line}");
        assert!(line.starts_with("M118.0 26.0"), "{line}");
    }

    #[test]
    fn a_gap_breaks_the_line() {
        let (line, area) = paths(&[1.0, f32::NAN, 1.0], 1.0);
        assert_eq!(line.matches('M').count(), 2);
        assert_eq!(area.matches('Z').count(), 2);
        assert_eq!(paths(&[], 1.0), (String::new(), String::new()));
        assert_eq!(paths(&[f32::NAN], 1.0).0, "");
    }

    #[test]
    fn a_bar_never_runs_over_its_rail() {
        let text = bar(900, u64::MAX, Some(64)).into_string();
        assert!(text.contains("width=\"100.0\""), "{text}");
        assert_eq!(bar(1, 1, Some(0)).into_string(), "");
    }
}
