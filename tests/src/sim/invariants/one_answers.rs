//! In each version of a range, one region answers for a key.

use std::collections::BTreeMap;

use skep_raftstore::ids::RegionId;

use super::Judged;

/// See the page of this file.
#[derive(Default)]
pub(super) struct OneAnswers {
    /// Which region answered for a key in a version.
    answered: BTreeMap<(Vec<u8>, u64), RegionId>,
}

impl OneAnswers {
    /// A region has carried out a command for a key.
    pub(super) fn answers(&mut self, region: RegionId, key: Vec<u8>, version: u64) -> Judged {
        let name = String::from_utf8_lossy(&key).into_owned();
        let known = *self.answered.entry((key, version)).or_insert(region);
        if known != region {
            return Err(format!("{known} and {region} both answer for {name} in version {version}"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_that_answer_in_one_version_are_noticed() {
        let mut rule = OneAnswers::default();
        let mut answers = |region, version| rule.answers(RegionId(region), b"key".to_vec(), version);
        assert_eq!(answers(1, 3), Ok(()));
        assert_eq!(answers(2, 4), Ok(()), "it was split");
        assert!(answers(2, 3).is_err_and(|why| why.contains("both answer for key in version 3")));
    }
}
