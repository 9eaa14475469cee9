//! What a RESP server answers, read from bytes. (RESP2: the tools of the command line ask for nothing newer.)

/// One answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// `+OK`.
    Status(String),
    /// `-ERR ...`.
    Error(String),
    /// `:1`.
    Integer(i64),
    /// `$5`, or nothing.
    Value(Option<Vec<u8>>),
    /// `*2`.
    Array(Vec<Answer>),
}

/// Bytes that no server of this protocol sends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct NotResp(String);

impl std::fmt::Display for NotResp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "what answers there does not speak the Redis protocol (it says '{}')", self.0)
    }
}

/// How much of a wrong answer is shown, in bytes.
const SHOWN_BYTES_MAX: usize = 60;

/// Bytes of a value, and elements of an array, that are believed. Nobody here asks for more.
const LENGTH_MAX: usize = 64 << 20;

/// Arrays in arrays that are believed.
const DEPTH_MAX: u32 = 8;

/// The first answer in `bytes` and how many bytes it has; `None` if more have to come.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Answer, usize)>, NotResp> {
    let mut at = 0;
    let answer = next(bytes, &mut at, DEPTH_MAX)?;
    Ok(answer.map(|answer| (answer, at)))
}

fn next(bytes: &[u8], at: &mut usize, depth: u32) -> Result<Option<Answer>, NotResp> {
    let begin = *at;
    let Some(&kind) = bytes.get(begin) else { return Ok(None) };
    let wrong = || {
        let end = bytes.len().min(begin + SHOWN_BYTES_MAX);
        NotResp(bytes[begin..end].escape_ascii().to_string())
    };
    if !b"+-:$*".contains(&kind) || depth == 0 {
        return Err(wrong());
    }
    let Some(line) = line(bytes, at) else { return Ok(None) };
    let number = || -> Result<i64, NotResp> { crate::resp::parse_integer(line).ok_or_else(wrong) };
    let length = || -> Result<Option<usize>, NotResp> {
        match number()? {
            -1 => Ok(None),
            length => usize::try_from(length)
                .ok()
                .filter(|length| *length <= LENGTH_MAX)
                .map(Some)
                .ok_or_else(wrong),
        }
    };
    let text = || String::from_utf8_lossy(line).into_owned();
    Ok(match kind {
        b'+' => Some(Answer::Status(text())),
        b'-' => Some(Answer::Error(text())),
        b':' => Some(Answer::Integer(number()?)),
        b'$' => match length()? {
            None => Some(Answer::Value(None)),
            Some(length) => value(bytes, at, length),
        },
        _ => match length()? {
            None => Some(Answer::Value(None)),
            Some(length) => array(bytes, at, (length, depth - 1))?,
        },
    })
}

fn line<'a>(bytes: &'a [u8], at: &mut usize) -> Option<&'a [u8]> {
    let rest = &bytes[*at + 1..];
    let end = rest.iter().position(|byte| *byte == b'\r').filter(|end| rest.len() > end + 1)?;
    *at += end + 3;
    Some(&rest[..end])
}

fn value(bytes: &[u8], at: &mut usize, length: usize) -> Option<Answer> {
    let end = *at + length;
    if bytes.len() < end + 2 {
        return None;
    }
    let value = bytes[*at..end].to_vec();
    *at = end + 2;
    Some(Answer::Value(Some(value)))
}

fn array(bytes: &[u8], at: &mut usize, (length, depth): (usize, u32)) -> Result<Option<Answer>, NotResp> {
    let mut items = Vec::new();
    for _ in 0..length {
        match next(bytes, at, depth)? {
            Some(item) => items.push(item),
            None => return Ok(None),
        }
    }
    Ok(Some(Answer::Array(items)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_read_whole_and_nothing_before_it_is() {
        let value = |text: &str| Answer::Value(Some(text.into()));
        let samples = [
            ("+OK\r\n", Answer::Status("OK".into())),
            ("-OOM no\r\n", Answer::Error("OOM no".into())),
            (":-5\r\n", Answer::Integer(-5)),
            ("$-1\r\n", Answer::Value(None)),
            ("$0\r\n\r\n", value("")),
            ("$4\r\n\r\n\r\n\r\n", value("\r\n\r\n")),
            ("*-1\r\n", Answer::Value(None)),
            (
                "*2\r\n$1\r\n0\r\n*1\r\n$1\r\na\r\n",
                Answer::Array(vec![value("0"), Answer::Array(vec![value("a")])]),
            ),
        ];
        for (text, answer) in samples {
            for end in 0..text.len() {
                assert_eq!(parse(&text.as_bytes()[..end]), Ok(None), "{text:?} through {end}");
            }
            let more = format!("{text}+more");
            assert_eq!(parse(more.as_bytes()), Ok(Some((answer, text.len()))), "{text:?}");
        }
    }

    #[test]
    fn what_no_server_says_is_refused() {
        for text in ["HTTP/1.1 400 Bad Request\r\n", "$x\r\n", "$-2\r\n", "$999999999999\r\n", "\0"] {
            assert!(parse(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(parse("*1\r\n".repeat(50).as_bytes()).is_err(), "no end of arrays");
    }
}
