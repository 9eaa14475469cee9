//! The shape of a log against the obvious version: a vector of terms.

use proptest::prelude::*;

use crate::raft::{Index, LogPos, LogShape, Term};

/// A log that keeps the term of every entry.
struct Twin {
    base: LogPos,
    terms: Vec<u64>,
}

#[derive(Clone, Debug)]
enum Op {
    Extend(u64, u64),
    Truncate(u64),
    Compact(u64),
    Restart(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..3_u64, 0..5_u64).prop_map(|(term, count)| Op::Extend(term, count)),
        2 => (0..8_u64).prop_map(Op::Truncate),
        2 => (0..8_u64).prop_map(Op::Compact),
        1 => (0..5_u64).prop_map(Op::Restart),
    ]
}

impl Twin {
    fn last(&self) -> u64 {
        self.base.index.0 + self.terms.len() as u64
    }

    fn term_at(&self, index: u64) -> Option<Term> {
        match index.checked_sub(self.base.index.0)? {
            0 => Some(self.base.term),
            offset => self.terms.get(offset as usize - 1).map(|&term| Term(term)),
        }
    }

    fn pos(&self, index: u64) -> LogPos {
        LogPos { index: Index(index), term: self.term_at(index).unwrap() }
    }

    fn last_not_above(&self, pos: LogPos) -> LogPos {
        let fits =
            |&index: &u64| index <= pos.index.0 && self.term_at(index).is_some_and(|term| term <= pos.term);
        (self.base.index.0 + 1..=self.last()).rev().find(fits).map_or(self.base, |index| self.pos(index))
    }

    /// Does `op`, scaled to where the log is, to both.
    fn act(&mut self, op: Op, shape: &mut LogShape) {
        match op {
            Op::Extend(more, count) => {
                let term = self.pos(self.last()).term.0 + more;
                self.terms.extend((0..count).map(|_| term));
                shape.extend(Term(term), count);
            }
            Op::Truncate(from) => {
                self.terms.truncate(from as usize);
                shape.truncate(Index(self.base.index.0 + 1 + from));
            }
            Op::Compact(count) => {
                let to = self.base.index.0 + count;
                let term = self.term_at(to);
                let pos = LogPos { index: Index(to), term: term.unwrap_or_default() };
                assert_eq!(shape.compact(pos), term.is_some());
                if term.is_some() {
                    self.terms.drain(..count as usize);
                    self.base = pos;
                }
            }
            Op::Restart(ahead) => {
                self.base = LogPos { index: Index(self.last() + ahead), term: self.pos(self.last()).term };
                self.terms.clear();
                shape.restart(self.base);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_shape_answers_like_a_log(ops in proptest::collection::vec(op(), 1..20)) {
        let base = LogPos { index: Index(3), term: Term(1) };
        let (mut twin, mut shape) = (Twin { base, terms: Vec::new() }, LogShape::new(base, &[], Index(3)));
        for op in ops {
            twin.act(op, &mut shape);
            prop_assert_eq!(shape.base(), twin.base);
            prop_assert_eq!(shape.last(), twin.pos(twin.last()));
            for index in 0..twin.last() + 3 {
                prop_assert_eq!(shape.term_at(Index(index)), twin.term_at(index));
                for term in 0..twin.pos(twin.last()).term.0 + 2 {
                    let pos = LogPos { index: Index(index), term: Term(term) };
                    prop_assert_eq!(shape.last_not_above(pos), twin.last_not_above(pos));
                }
            }
            let mut runs: Vec<(Index, Term)> = Vec::new();
            for index in twin.base.index.0 + 1..=twin.last() {
                let term = twin.term_at(index).unwrap();
                if runs.last().is_none_or(|run| run.1 != term) {
                    runs.push((Index(index), term));
                }
            }
            prop_assert_eq!(&LogShape::new(twin.base, &runs, Index(twin.last())), &shape);
        }
    }
}
