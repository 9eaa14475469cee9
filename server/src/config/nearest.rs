//! What somebody probably meant who wrote a name that does not exist.

/// Changes of one letter beyond which two names have nothing to do with each other.
const CHANGES_MAX: usize = 4;

/// The name that is nearest to `written`, if one is near: by the whole of it, or by what stands behind the dot.
pub(super) fn nearest<'a>(written: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    let far = |name: &str| {
        // The right key in a wrong section is as near as a slip of the pen.
        let in_other_section = changes(&last(written), &last(name)) + 1;
        changes(written, name).min(in_other_section)
    };
    let (far, name) = names.map(|name| (far(name), name)).min_by_key(|(far, _)| *far)?;
    (far <= CHANGES_MAX.min(written.len() / 2)).then_some(name)
}

/// How many letters must be added, left out or changed to make one of the other (Levenshtein).
fn changes(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, candidate) in other.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *candidate);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_and_wrong_sections_are_near_and_nonsense_is_not() {
        let names = ["store.listen", "client.listen", "client.password", "cluster.stores"];
        let near = |written| nearest(written, names.into_iter());
        assert_eq!(near("client.pasword"), Some("client.password"));
        assert_eq!(near("store.password"), Some("client.password"));
        assert_eq!(near("cluster.store"), Some("cluster.stores"));
        assert_eq!(near("client.listne"), Some("client.listen"));
        assert_eq!(near("stores"), Some("cluster.stores"));
        assert_eq!(near("threads.number"), None);
        assert_eq!(near("x"), None);
        assert_eq!((changes("", "abc"), changes("kitten", "sitting"), changes("a", "a")), (3, 3, 0));
    }
}
