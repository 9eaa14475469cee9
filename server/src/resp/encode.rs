//! Writes replies, in the version of the protocol that the client asked for.

use std::borrow::Cow;

use bytes::Bytes;

use super::number::with_decimal;

/// The version of the protocol that replies are written in.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Protocol {
    /// What every connection begins with: no maps, no types but strings, integers, arrays and errors.
    #[default]
    Resp2,
    /// What `HELLO 3` asks for.
    Resp3,
}

/// One reply. Version 2 has no word for some of them and writes what Redis writes instead.
#[derive(Clone, PartialEq, Debug)]
pub enum Reply {
    /// `+OK`.
    Status(&'static str),
    /// `-ERR ...`: a code in capitals and a sentence. Line ends in it become spaces.
    Error(Cow<'static, str>),
    /// `:1`.
    Integer(i64),
    /// `,1.5`; a bulk in version 2.
    Double(f64),
    /// `$5`.
    Bulk(Bytes),
    /// `_`; a null bulk in version 2.
    Null,
    /// `_`; a null array in version 2.
    NullArray,
    /// `*2`.
    Array(Vec<Reply>),
    /// `~2`; an array in version 2.
    Set(Vec<Reply>),
    /// `%1`; an array of keys and values in version 2.
    Map(Vec<(Reply, Reply)>),
    /// `=9`: text to be shown as it is; a bulk in version 2.
    Verbatim(String),
}

impl Reply {
    /// `+OK`.
    pub const OK: Reply = Reply::Status("OK");

    /// An error: its code, a space, a sentence.
    pub fn error(text: impl Into<Cow<'static, str>>) -> Reply {
        Reply::Error(text.into())
    }

    /// A bulk of text that is made for this reply.
    pub fn text(text: impl Into<String>) -> Reply {
        Reply::Bulk(Bytes::from(text.into()))
    }

    /// A bulk of text that is known beforehand.
    pub const fn constant(text: &'static str) -> Reply {
        Reply::Bulk(Bytes::from_static(text.as_bytes()))
    }

    /// Writes the reply behind what is in `out`.
    pub fn encode(&self, protocol: Protocol, out: &mut Vec<u8>) {
        let is_3 = protocol == Protocol::Resp3;
        match self {
            Reply::Status(text) => line(out, b'+', text.as_bytes()),
            Reply::Error(text) => error(out, text),
            Reply::Integer(number) => integer(out, b':', *number),
            Reply::Double(number) if is_3 => line(out, b',', double(*number).as_bytes()),
            Reply::Double(number) => bulk(out, double(*number).as_bytes()),
            Reply::Bulk(bytes) => bulk(out, bytes),
            Reply::Null | Reply::NullArray if is_3 => out.extend_from_slice(b"_\r\n"),
            Reply::Null => out.extend_from_slice(b"$-1\r\n"),
            Reply::NullArray => out.extend_from_slice(b"*-1\r\n"),
            Reply::Array(items) => sequence(out, b'*', items, protocol),
            Reply::Set(items) => sequence(out, if is_3 { b'~' } else { b'*' }, items, protocol),
            Reply::Map(pairs) => map(out, pairs, protocol),
            Reply::Verbatim(text) if is_3 => {
                integer(out, b'=', text.len() as i64 + 4);
                out.extend_from_slice(b"txt:");
                ended(out, text.as_bytes());
            }
            Reply::Verbatim(text) => bulk(out, text.as_bytes()),
        }
    }

    /// Bytes that are kept in memory for it, beside itself. About as many are written.
    pub fn bytes(&self) -> usize {
        match self {
            Reply::Status(text) => text.len(),
            Reply::Error(text) => text.len(),
            Reply::Bulk(bytes) => bytes.len(),
            Reply::Verbatim(text) => text.len(),
            Reply::Integer(_) | Reply::Double(_) | Reply::Null | Reply::NullArray => 0,
            Reply::Array(items) | Reply::Set(items) => items.iter().map(whole_bytes).sum(),
            Reply::Map(pairs) => pairs.iter().map(|(key, value)| whole_bytes(key) + whole_bytes(value)).sum(),
        }
    }
}

fn whole_bytes(reply: &Reply) -> usize {
    size_of::<Reply>() + reply.bytes()
}

fn sequence(out: &mut Vec<u8>, kind: u8, items: &[Reply], protocol: Protocol) {
    integer(out, kind, items.len() as i64);
    for item in items {
        item.encode(protocol, out);
    }
}

fn map(out: &mut Vec<u8>, pairs: &[(Reply, Reply)], protocol: Protocol) {
    match protocol {
        Protocol::Resp2 => integer(out, b'*', pairs.len() as i64 * 2),
        Protocol::Resp3 => integer(out, b'%', pairs.len() as i64),
    }
    for (key, value) in pairs {
        key.encode(protocol, out);
        value.encode(protocol, out);
    }
}

fn bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    integer(out, b'$', bytes.len() as i64);
    ended(out, bytes);
}

fn integer(out: &mut Vec<u8>, kind: u8, number: i64) {
    with_decimal(number, |text| line(out, kind, text));
}

fn line(out: &mut Vec<u8>, kind: u8, text: &[u8]) {
    out.push(kind);
    ended(out, text);
}

fn ended(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

fn error(out: &mut Vec<u8>, text: &str) {
    out.push(b'-');
    let one_line = text.bytes().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte });
    out.extend(one_line);
    out.extend_from_slice(b"\r\n");
}

fn double(number: f64) -> String {
    if number.is_infinite() {
        return if number > 0.0 { "inf".into() } else { "-inf".into() };
    }
    if number.is_nan() { "nan".into() } else { number.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn writes(reply: &Reply, resp2: &str, resp3: &str) {
        for (protocol, wanted) in [(Protocol::Resp2, resp2), (Protocol::Resp3, resp3)] {
            let mut out = Vec::new();
            reply.encode(protocol, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), wanted, "{protocol:?}");
        }
    }

    #[test]
    fn every_element_counts_even_if_it_is_empty() {
        let empty = Reply::constant("");
        assert_eq!(empty.bytes(), 0);
        let many = Reply::Array(vec![empty; 1000]);
        assert_eq!(many.bytes(), 1000 * size_of::<Reply>());
    }

    #[test]
    fn both_versions() {
        writes(&Reply::OK, "+OK\r\n", "+OK\r\n");
        writes(&Reply::error("ERR a\r\nb"), "-ERR a  b\r\n", "-ERR a  b\r\n");
        writes(&Reply::Integer(-7), ":-7\r\n", ":-7\r\n");
        writes(&Reply::Double(1.5), "$3\r\n1.5\r\n", ",1.5\r\n");
        writes(&Reply::Double(f64::NEG_INFINITY), "$4\r\n-inf\r\n", ",-inf\r\n");
        writes(&Reply::constant("a\r\nb"), "$4\r\na\r\nb\r\n", "$4\r\na\r\nb\r\n");
        writes(&Reply::text(""), "$0\r\n\r\n", "$0\r\n\r\n");
        writes(&Reply::Null, "$-1\r\n", "_\r\n");
        writes(
            &Reply::Array(vec![Reply::Null, Reply::Integer(1)]),
            "*2\r\n$-1\r\n:1\r\n",
            "*2\r\n_\r\n:1\r\n",
        );
        writes(&Reply::NullArray, "*-1\r\n", "_\r\n");
        writes(&Reply::Set(vec![Reply::Status("fast")]), "*1\r\n+fast\r\n", "~1\r\n+fast\r\n");
        writes(&Reply::Map(vec![(Reply::OK, Reply::Null)]), "*2\r\n+OK\r\n$-1\r\n", "%1\r\n+OK\r\n_\r\n");
        writes(&Reply::Verbatim("hi".into()), "$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n");
    }
}
