//! Why a message is refused, and with which status.

/// What is wrong with a message. After any of these the connection is closed: its next byte could be anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Reject {
    /// A line feed without a carriage return before it (RFC 9112 section 2.2 lets us refuse it).
    #[error("a line does not end with CR LF")]
    BareLf,
    /// A carriage return without a line feed after it (RFC 9112 section 2.2).
    #[error("a carriage return stands alone")]
    BareCr,
    /// An empty line before the start line (RFC 9112 section 2.2 would let us ignore it; two readers may differ on how many).
    #[error("the message begins with an empty line")]
    LeadingBlank,
    /// The start line is not one.
    #[error("the start line is malformed")]
    StartLine,
    /// A byte that no request target may have (RFC 3986, and RFC 9112 section 3.2).
    #[error("the target has a forbidden byte or form")]
    Target,
    /// A version other than HTTP/1.0 and HTTP/1.1.
    #[error("the version is not spoken here")]
    Version,
    /// A method that is not for an origin (CONNECT).
    #[error("the method is not offered here")]
    Method,
    /// A field line that is folded, has a space before its colon, or a forbidden byte (RFC 9112 section 5).
    #[error("a header field is malformed")]
    Field,
    /// More fields than allowed.
    #[error("there are too many header fields")]
    TooManyFields,
    /// The head is longer than allowed.
    #[error("the head is too large")]
    HeadTooLarge,
    /// No Host in HTTP/1.1, several, an invalid one, or one that contradicts the target (RFC 9112 section 3.2).
    #[error("the Host field is missing, repeated or invalid")]
    Host,
    /// Content-Length is not one plain number, or stands more than once (RFC 9112 section 6.3).
    #[error("the Content-Length is not one plain number")]
    ContentLength,
    /// Transfer-Encoding is something other than exactly `chunked`, stands more than once, or in HTTP/1.0 (RFC 9112 section 6.1).
    #[error("the Transfer-Encoding is not exactly chunked")]
    TransferEncoding,
    /// Content-Length together with Transfer-Encoding (RFC 9112 section 6.1).
    #[error("both Content-Length and Transfer-Encoding are given")]
    BothFramings,
    /// An expectation other than `100-continue` (RFC 9110 section 10.1.1).
    #[error("the expectation cannot be met")]
    Expectation,
    /// A chunk size that is not 1 to 15 hexadecimal digits and CR LF (RFC 9112 section 7.1), extensions included.
    #[error("a chunk is malformed")]
    Chunk,
    /// A trailer field that is malformed, forbidden (RFC 9110 section 6.5.1), or one too many.
    #[error("the trailer section is malformed")]
    Trailer,
}

impl Reject {
    /// The status for a request that is refused so.
    pub const fn status(self) -> u16 {
        match self {
            Self::TooManyFields | Self::HeadTooLarge => 431,
            Self::Version => 505,
            Self::Method => 501,
            Self::Expectation => 417,
            _ => 400,
        }
    }
}
