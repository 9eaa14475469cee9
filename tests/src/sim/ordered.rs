//! What a client may expect beyond linearizability: its own commands on one key, given without waiting, take effect in
//! the order in which it gave them, and its reads see its writes.

use bytes::Bytes;
use skep_engine::{Answer, Command};

use super::linear::Operation;

/// The first rule that the history of one key breaks, in words. Tells only about keys that are appended to.
pub(super) fn check(history: &[Operation]) -> Option<String> {
    let last = history.iter().rev().find_map(|op| match &op.returned {
        Some((_, Answer::Value(value))) => Some(value.clone().unwrap_or_default()),
        _ => None,
    })?;
    let mut ends: Vec<usize> = Vec::new();
    for op in history {
        match (&op.command, &op.returned) {
            (Command::Append { value, .. }, Some(_)) => {
                let Some(at) = find(&last, value) else {
                    return Some(format!("{value:?} was acknowledged and is not in {last:?}"));
                };
                ends.resize(ends.len().max(op.client + 1), 0);
                if at < ends[op.client] {
                    return Some(format!(
                        "{value:?} took effect before what its client gave before it: {last:?}"
                    ));
                }
                ends[op.client] = at + value.len();
            }
            (Command::Get { .. }, Some((_, Answer::Value(seen)))) => {
                let seen = seen.as_ref().map_or(0, Bytes::len);
                if ends.get(op.client).is_some_and(|end| seen < *end) {
                    return Some(format!("client {} read less than it had written: {seen} bytes", op.client));
                }
            }
            _ => {}
        }
    }
    None
}

/// Where `token` stands; tokens end with a mark that is nowhere else in them.
fn find(list: &[u8], token: &[u8]) -> Option<usize> {
    let starts = (0..=list.len().checked_sub(token.len())?).filter(|at| *at == 0 || list[at - 1] == b';');
    starts.into_iter().find(|at| list[*at..].starts_with(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(client: usize, value: &'static str) -> Operation {
        let command = Command::Append { key: "k".into(), value: value.into() };
        Operation { client, command, called: 0, returned: Some((1, Answer::Integer(0))) }
    }

    fn read(client: usize, seen: &'static str) -> Operation {
        let returned = Some((1, Answer::Value(Some(seen.into()))));
        Operation { client, command: Command::Get { key: "k".into() }, called: 0, returned }
    }

    #[test]
    fn the_order_of_one_client_holds() {
        let given = [append(0, "0.1;"), append(1, "1.2;"), append(0, "0.3;")];
        let with = |seen| [given.to_vec(), vec![read(1, seen)]].concat();
        assert_eq!(check(&with("1.2;0.1;0.3;")), None);
        assert!(check(&with("0.3;0.1;1.2;")).is_some_and(|why| why.contains("before")));
        assert!(check(&with("0.1;0.3;")).is_some_and(|why| why.contains("is not in")));
    }

    #[test]
    fn a_client_sees_its_own_writes() {
        let history = [append(0, "0.1;"), read(0, ""), read(0, "0.1;")];
        assert!(check(&history).is_some_and(|why| why.contains("less")));
    }
}
