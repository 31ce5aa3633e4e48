//! Randomness from a seed: xoshiro256++ (Blackman and Vigna, 2019), seeded through SplitMix64.
//!
//! Decisions need dice, not secrets. The seed is an argument, so a run can be replayed; keys and
//! nonces come from the operating system through the drivers and never from here.

/// A small, fast, seeded generator. Not for secrets.
#[derive(Clone, Debug)]
pub struct Random([u64; 4]);

impl Random {
    /// A generator whose whole future follows from `seed`.
    pub fn new(mut seed: u64) -> Self {
        Self(core::array::from_fn(|_| {
            seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = seed;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        }))
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        let s = &mut self.0;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// A number in `0..n`; zero when `n` is zero. The bias of the multiplication is below 2⁻³².
    pub fn below(&mut self, n: u32) -> u32 {
        (((self.next_u64() >> 32) * u64::from(n)) >> 32) as u32
    }

    /// A number in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Shuffles a slice so that each order is equally likely (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u32 + 1) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_tells_the_same_story() {
        let (mut a, mut b) = (Random::new(7), Random::new(7));
        assert!((0..100).all(|_| a.next_u64() == b.next_u64()));
    }

    #[test]
    fn every_face_of_the_die_comes_up_about_equally_often() {
        let mut random = Random::new(1);
        let mut faces = [0u32; 6];
        (0..60_000).for_each(|_| faces[random.below(6) as usize] += 1);
        assert!(faces.iter().all(|&n| (9_500..10_500).contains(&n)), "{faces:?}");
    }

    #[test]
    fn a_shuffle_keeps_every_item() {
        let mut items: [u8; 50] = core::array::from_fn(|i| i as u8);
        Random::new(3).shuffle(&mut items);
        assert!(items.windows(2).any(|w| w[0] > w[1]));
        items.sort_unstable();
        assert!(items.iter().enumerate().all(|(i, &v)| i == v as usize));
    }
}
