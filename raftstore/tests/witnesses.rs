//! A store does not host witnesses yet, and says so before it writes anything.

use skep_raftstore::store::OpenError;
use words::stores::{REGION, open_with_witness};

mod words;

#[test]
fn a_region_with_witnesses_is_refused() {
    let refused = open_with_witness().expect_err("it opens");
    assert!(matches!(refused, OpenError::Witnesses(region) if region == REGION), "{refused}");
}
