//! A strict reader of the HTML that the console writes: enough of the grammar to tell text from markup.

/// A start tag with its attributes, an end tag, or text.
#[derive(Debug, PartialEq)]
pub(crate) enum Token {
    Start(String, Vec<(String, String)>),
    End(String),
    Text(String),
}

const VOID: [&str; 4] = ["meta", "link", "br", "img"];

/// Splits into tokens; panics on anything a careful writer would not write.
pub(crate) fn tokens(html: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = html.strip_prefix("<!DOCTYPE html>").unwrap_or(html);
    while !rest.is_empty() {
        if let Some(tag) = rest.strip_prefix("</") {
            let (name, after) = tag.split_once('>').expect("an end tag ends");
            tokens.push(Token::End(name.into()));
            rest = after;
        } else if let Some(tag) = rest.strip_prefix('<') {
            let (token, after) = start(tag);
            tokens.push(token);
            rest = after;
        } else {
            let end = rest.find('<').unwrap_or(rest.len());
            assert!(!rest[..end].contains('>'), "a bare > in {:?}", &rest[..end]);
            tokens.push(Token::Text(unescape(&rest[..end])));
            rest = &rest[end..];
        }
    }
    tokens
}

fn start(tag: &str) -> (Token, &str) {
    let end = tag.find([' ', '>']).expect("a start tag ends");
    let (name, mut rest) = tag.split_at(end);
    let mut attributes = Vec::new();
    while let Some(next) = rest.strip_prefix(' ') {
        let end = next.find(['=', ' ', '>']).expect("an attribute ends");
        let (name, after) = next.split_at(end);
        let (value, after) = match after.strip_prefix("=\"") {
            Some(quoted) => quoted.split_once('"').expect("a value is quoted"),
            None => ("", after),
        };
        attributes.push((name.into(), unescape(value)));
        rest = after;
    }
    let rest = rest.strip_prefix('>').expect("a start tag ends");
    (Token::Start(name.into(), attributes), rest)
}

fn unescape(text: &str) -> String {
    let mut plain = text.to_owned();
    for (entity, c) in [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&amp;", "&")] {
        plain = plain.replace(entity, c);
    }
    plain
}

/// Panics unless every element is closed in order.
pub(crate) fn assert_balanced(tokens: &[Token]) {
    let mut open = Vec::new();
    for token in tokens {
        match token {
            Token::Start(name, _) if !VOID.contains(&name.as_str()) => open.push(name.clone()),
            Token::End(name) => assert_eq!(open.pop().as_ref(), Some(name)),
            _ => {}
        }
    }
    assert!(open.is_empty(), "never closed: {open:?}");
}

/// All text, one piece a line.
pub(crate) fn text(tokens: &[Token]) -> String {
    let pieces = tokens.iter().filter_map(|token| match token {
        Token::Text(text) => Some(text.as_str()),
        _ => None,
    });
    pieces.collect::<Vec<_>>().join("\n")
}

/// All values of one attribute, with the element they belong to.
pub(crate) fn attribute<'a>(tokens: &'a [Token], name: &str) -> Vec<(&'a str, &'a str)> {
    let mut found = Vec::new();
    for token in tokens {
        let Token::Start(element, attributes) = token else { continue };
        found.extend(attributes.iter().filter(|(n, _)| n == name).map(|(_, v)| (&**element, &**v)));
    }
    found
}
