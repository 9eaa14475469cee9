//! What the parser promises: the same commands however the bytes are cut, the errors of Redis, and no panic.

use bytes::BytesMut;
use proptest::prelude::*;

use super::*;

fn parse_all(chunks: &[&[u8]]) -> (Vec<Request>, Option<ProtocolError>) {
    let (mut parser, mut buffer, mut requests) = (Parser::default(), BytesMut::new(), Vec::new());
    for chunk in chunks {
        buffer.extend_from_slice(chunk);
        loop {
            match parser.next(&mut buffer) {
                Ok(Some(request)) => requests.push(request),
                Ok(None) => break,
                Err(error) => return (requests, Some(error)),
            }
        }
    }
    (requests, None)
}

fn command(words: &[&[u8]]) -> Request {
    Request::Command(words.iter().map(|word| Bytes::copy_from_slice(word)).collect())
}

fn encode(arguments: &[Vec<u8>]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        out.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        out.extend_from_slice(argument);
        out.extend_from_slice(b"\r\n");
    }
    out
}

#[track_caller]
fn fails(input: &[u8], text: &str) {
    let (_, error) = parse_all(&[input]);
    assert_eq!(error.expect("an error").to_string(), text);
}

#[test]
fn commands_and_lines_mix() {
    let input = b"*1\r\n$4\r\nPING\r\nPING\r\n\r\n*0\r\n*-1\r\nset a \"b c\"\n*2\r\n$4\r\nECHO\r\n$0\r\n\r\n*2\r\n$3\r\nG";
    let wanted = [
        command(&[b"PING"]),
        command(&[b"PING"]),
        command(&[b"set", b"a", b"b c"]),
        command(&[b"ECHO", b""]),
    ];
    assert_eq!(parse_all(&[input]), (wanted.to_vec(), None));
}

#[test]
fn the_errors_are_those_of_redis() {
    fails(b"*x\r\n", "Protocol error: invalid multibulk length");
    fails(b"*1048577\r\n", "Protocol error: invalid multibulk length");
    fails(b"*1\r\n:1\r\n", "Protocol error: expected '$', got ':'");
    fails(b"*1\r\n$-1\r\n", "Protocol error: invalid bulk length");
    fails(b"*1\r\n$536870913\r\n", "Protocol error: invalid bulk length");
    fails(b"*1\r\n$abc\r\n", "Protocol error: invalid bulk length");
    fails(b"set a \"b\r\n", "Protocol error: unbalanced quotes in request");
    let long = vec![b'1'; LINE_BYTES_MAX + 1];
    fails(&long, "Protocol error: too big inline request");
    fails(&[b"*", &long[..]].concat(), "Protocol error: too big mbulk count string");
    fails(&[b"*1\r\n$", &long[..]].concat(), "Protocol error: too big bulk count string");
}

#[test]
fn announced_sizes_allocate_nothing() {
    let (mut parser, mut buffer) = (Parser::default(), BytesMut::new());
    buffer.extend_from_slice(b"*1048576\r\n$8388608\r\nx");
    assert_eq!(parser.next(&mut buffer), Ok(None));
    assert!(parser.arguments.capacity() < 64);
    assert!(buffer.capacity() < 4096);
}

#[test]
fn what_is_too_large_is_thrown_away_as_it_comes() {
    let (mut parser, mut buffer) = (Parser::default(), BytesMut::new());
    let announced = BULK_BYTES_MAX + 1;
    buffer.extend_from_slice(format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${announced}\r\n").as_bytes());
    let chunk = vec![b'v'; 64 << 10];
    let mut sent = 0;
    while sent < announced {
        let n = chunk.len().min(announced - sent);
        buffer.extend_from_slice(&chunk[..n]);
        sent += n;
        assert_eq!(parser.next(&mut buffer), Ok(None));
        assert!(buffer.is_empty());
    }
    buffer.extend_from_slice(b"\r\nPING\r\n");
    assert_eq!(parser.next(&mut buffer), Ok(Some(Request::TooLarge)));
    assert_eq!(parser.next(&mut buffer), Ok(Some(command(&[b"PING"]))));
}

#[test]
fn many_large_arguments_are_together_too_large() {
    let value = vec![b'v'; 1 << 20];
    let input = encode(&vec![value; (COMMAND_BYTES_MAX >> 20) + 1]);
    assert_eq!(parse_all(&[&input]), (vec![Request::TooLarge], None));
}

fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let argument = proptest::collection::vec(any::<u8>(), 0..20);
    let bulk = proptest::collection::vec(argument, 1..5).prop_map(|arguments| encode(&arguments));
    let line = "[a-z]{1,6}( [a-z]{0,6}| \"[a-z ]{0,4}\")?\r?\n".prop_map(String::into_bytes);
    let oddity =
        prop_oneof![Just(b"*0\r\n".to_vec()), Just(b"\r\n".to_vec()), Just(b"*1\r\n$x\r\n".to_vec())];
    proptest::collection::vec(prop_oneof![4 => bulk, 2 => line, 1 => oddity], 1..6)
        .prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn every_cut_gives_the_same_commands(input in pieces()) {
        let whole = parse_all(&[&input]);
        for cut in 0..=input.len() {
            prop_assert_eq!(&parse_all(&[&input[..cut], &input[cut..]]), &whole, "cut at {}", cut);
        }
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        prop_assert_eq!(&parse_all(&bytes), &whole);
    }

    #[test]
    fn arguments_come_out_as_they_went_in(
        commands in proptest::collection::vec(
            proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 1..6), 0..6),
    ) {
        let input: Vec<u8> = commands.iter().flat_map(|arguments| encode(arguments)).collect();
        let wanted: Vec<Request> = commands
            .into_iter()
            .map(|arguments| Request::Command(arguments.into_iter().map(Bytes::from).collect()))
            .collect();
        prop_assert_eq!(parse_all(&[&input]), (wanted, None));
    }

    #[test]
    fn nothing_received_makes_it_panic(
        chunks in proptest::collection::vec(
            prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..30),
                "[*$+:\\-0-9a-z\"' \r\n]{0,30}".prop_map(String::into_bytes),
            ],
            0..10,
        ),
    ) {
        let slices: Vec<&[u8]> = chunks.iter().map(|chunk| &chunk[..]).collect();
        parse_all(&slices);
    }
}
