//! Every size of the protocol, with its unit and where it comes from.
//!
//! "File" is the protocol reference of the original, version 5.0.1, by section.

/// Bytes of a header in both directions (file, 3.1).
pub const HEADER_BYTES: usize = 48;
/// Bytes of a name in a message: padded with NUL, the last one always NUL (`MAX_GROUP_NAME`; file, 2).
pub const NAME_FIELD_BYTES: usize = 32;
/// Bytes of the longest group name (file, 3.5).
pub const GROUP_NAME_MAX: usize = NAME_FIELD_BYTES - 1;
/// Bytes of the longest private name (`MAX_PRIVATE_NAME`; file, 2).
pub const PRIVATE_NAME_MAX: usize = 10;
/// Bytes of the longest daemon name (`MAX_PROC_NAME` less its NUL; file, 2).
pub const PROC_NAME_MAX: usize = 19;
/// Names of one message from a client: its destinations (file, 3.6 rule 3).
pub const DESTINATIONS_MAX: usize = 100;
/// Bytes that the original counts a message by: body, names and header (`MAX_MESSAGE_BODY_LEN`; file, 3.5).
pub const MESSAGE_BYTES_MAX: usize = 144_000;
/// Bytes of body and names of one message that a daemon takes (file, 3.6 rule 5). Ours takes all of them; see
/// [`PORTABLE_BYTES_MAX`].
pub const BODY_AND_NAMES_MAX: usize = MESSAGE_BYTES_MAX - HEADER_BYTES;
/// Bytes of body and names that the original 5.0.1 daemon survives (file, 3.6: 100 fragments of 1,432 bytes less the
/// header); the client refuses more unless it is told that the daemon is ours.
pub const PORTABLE_BYTES_MAX: usize = 143_152;
/// Destinations that the original 5.0.1 daemon delivers to; with more it delivers to nobody (file, 3.6).
pub const PORTABLE_DESTINATIONS_MAX: usize = 43;

/// Bytes of the choice of authentication methods: three slots (file, 2.3).
pub const AUTH_CHOICE_BYTES: usize = AUTH_METHODS_MAX * AUTH_NAME_BYTES;
/// Bytes of one method's name in the choice, padded with NUL (`MAX_AUTH_NAME`; file, 2).
pub const AUTH_NAME_BYTES: usize = 30;
/// Methods a client can choose (`MAX_AUTH_METHODS`; file, 2).
pub const AUTH_METHODS_MAX: usize = 3;
/// Bytes of the list of methods, as its length is one signed byte (file, 2.3).
pub const AUTH_LIST_MAX: usize = 127;
/// Bytes of the longest hello: version, flags, length, name (file, 2.1).
pub const HELLO_MAX: usize = 5 + PRIVATE_NAME_MAX;
/// Bytes of the longest accept reply: result, version, length, name (file, 2.4).
pub const ACCEPT_MAX: usize = 5 + GROUP_NAME_MAX;

/// Bytes of a group id in a membership message (file, 3.8).
pub const GROUP_ID_BYTES: usize = 12;
/// Local members of one group (file, 3.11); the next join is rejected.
pub const LOCAL_MEMBERS_MAX: usize = 3_122;
/// Sessions that the original daemon takes (file, 1). Ours takes what it is configured for.
pub const SESSIONS_MAX: usize = 997;
/// Daemons of one configuration of the original.
pub const DAEMONS_MAX: usize = 128;
/// Members of one group: all that 128 daemons can have locally. Nobody tells a client more.
pub const MEMBERS_MAX: usize = LOCAL_MEMBERS_MAX * DAEMONS_MAX;
/// Messages that the original queues for a client that does not read, before it ends the session
/// (`MaxSessionMessages`; file, 5).
pub const SESSION_MESSAGES_DEFAULT: usize = 1_000;

/// TCP port of the sessions, and the number in the path of the Unix socket (file, 1).
pub const PORT_DEFAULT: u16 = 4_803;
