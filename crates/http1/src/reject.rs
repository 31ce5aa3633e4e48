//! Why a message is refused, and with which status.

/// What is wrong with a message. After any of these the connection is closed: its next byte could be anything.
///
/// The texts name the fault and nothing of the message, so they may be shown to whoever sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Reject {
    /// A line feed without a carriage return before it (RFC 9112 section 2.2 lets us refuse it).
    #[error("a line does not end with CR LF")]
    BareLf,
    /// A carriage return without a line feed after it (RFC 9112 section 2.2).
    #[error("a carriage return stands alone")]
    BareCr,
    /// An empty line before the start line. RFC 9112 section 2.2 would have us ignore one; how many, and whether they
    /// count as the end of a head, is where readers differ.
    #[error("the message begins with an empty line")]
    LeadingBlank,
    /// The start line is not one (RFC 9112 sections 3 and 4).
    #[error("the start line is malformed")]
    StartLine,
    /// The target has a byte or a form that it must not have (RFC 9112 section 3.2, RFC 3986).
    #[error("the target has a forbidden byte or form")]
    Target,
    /// The start line alone is longer than a head may be (RFC 9110 section 15.5.15).
    #[error("the target is too long")]
    TargetTooLong,
    /// A version other than HTTP/1.0 and HTTP/1.1 (RFC 9110 section 15.6.6).
    #[error("the version is not spoken here")]
    Version,
    /// CONNECT, which is for proxies, or a name longer than any method has (RFC 9112 section 3).
    #[error("the method is not offered here")]
    Method,
    /// TRACE with a body (RFC 9110 section 9.3.8).
    #[error("the method has no body")]
    BodyNotAllowed,
    /// TRACE or OPTIONS whose Max-Forwards is 0: it may go no further, and there is nothing here to ask (RFC 9110
    /// section 7.6.2).
    #[error("the request may not be forwarded")]
    LastStop,
    /// A field line that is folded, has a space before its colon, a forbidden byte, or a name that imitates one that
    /// frames the message (RFC 9112 section 5).
    #[error("a header field is malformed")]
    Field,
    /// More fields than allowed (RFC 6585 section 5).
    #[error("there are too many header fields")]
    TooManyFields,
    /// The head is longer than allowed (RFC 6585 section 5).
    #[error("the head is too large")]
    HeadTooLarge,
    /// More connection options than anybody needs (RFC 9110 section 7.6.1).
    #[error("the Connection field names too much")]
    Connection,
    /// No Host in HTTP/1.1, several, an invalid one, or one that contradicts the target (RFC 9112 section 3.2).
    #[error("the Host field is missing, repeated or invalid")]
    Host,
    /// Content-Length is not one plain number, or stands more than once (RFC 9112 section 6.3).
    #[error("the Content-Length is not one plain number")]
    ContentLength,
    /// Transfer-Encoding is something other than exactly `chunked`, stands more than once, or in HTTP/1.0 (RFC 9112
    /// section 6.1).
    #[error("the Transfer-Encoding is not exactly chunked")]
    TransferEncoding,
    /// Content-Length together with Transfer-Encoding (RFC 9112 section 6.1).
    #[error("both Content-Length and Transfer-Encoding are given")]
    BothFramings,
    /// An expectation other than `100-continue` (RFC 9110 section 10.1.1).
    #[error("the expectation cannot be met")]
    Expectation,
    /// A status that is none, or 101 to a request that did not ask for it (RFC 9110 sections 15 and 7.8).
    #[error("the status is not an answer to this request")]
    Status,
    /// A chunk size that is not 1 to 15 hexadecimal digits and CR LF, extensions included, or a chunk that does not
    /// end where it should (RFC 9112 section 7.1).
    #[error("a chunk is malformed")]
    Chunk,
    /// A trailer field that is malformed or forbidden (RFC 9110 section 6.5.1), or a section too long.
    #[error("the trailer section is malformed")]
    Trailer,
}

impl Reject {
    /// The status for a request that is refused so. What comes from an origin and is refused so is a 502.
    pub const fn status(self) -> u16 {
        match self {
            Self::TargetTooLong => 414,
            Self::Expectation => 417,
            Self::TooManyFields | Self::HeadTooLarge => 431,
            Self::Method | Self::LastStop => 501,
            Self::Version => 505,
            _ => 400,
        }
    }
}
