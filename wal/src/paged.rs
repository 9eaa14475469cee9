//! Values by number, in pages: growing moves nothing and keeps nothing in reserve but the rest of a page.

use std::ops::{Index, IndexMut};

/// Values in a page.
const PAGE_VALUES: usize = 512;

/// Values that are only ever added, each found by the number that it was given.
#[derive(Debug)]
pub(crate) struct Paged<T> {
    /// All but the last are full.
    pages: Vec<Vec<T>>,
}

impl<T> Default for Paged<T> {
    fn default() -> Paged<T> {
        Paged { pages: Vec::new() }
    }
}

impl<T> Paged<T> {
    /// Adds a value; its number.
    pub(crate) fn push(&mut self, value: T) -> u32 {
        if self.pages.last().is_none_or(|last| last.len() == PAGE_VALUES) {
            self.pages.push(Vec::with_capacity(PAGE_VALUES));
        }
        let full = (self.pages.len() - 1) * PAGE_VALUES;
        let last = self.pages.last_mut().expect("a page was added when there was none with room");
        last.push(value);
        (full + last.len() - 1) as u32
    }

    pub(crate) fn len(&self) -> usize {
        self.pages.last().map_or(0, |last| (self.pages.len() - 1) * PAGE_VALUES + last.len())
    }

    /// All values in the order of their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.pages.iter().flatten()
    }

    /// The values from a number on, through the end of its page.
    pub(crate) fn rest_of_page(&mut self, from: usize) -> &mut [T] {
        match self.pages.get_mut(from / PAGE_VALUES) {
            Some(page) => page.get_mut(from % PAGE_VALUES..).unwrap_or_default(),
            None => &mut [],
        }
    }
}

impl<T> Index<u32> for Paged<T> {
    type Output = T;

    fn index(&self, number: u32) -> &T {
        &self.pages[number as usize / PAGE_VALUES][number as usize % PAGE_VALUES]
    }
}

impl<T> IndexMut<u32> for Paged<T> {
    fn index_mut(&mut self, number: u32) -> &mut T {
        &mut self.pages[number as usize / PAGE_VALUES][number as usize % PAGE_VALUES]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every value is found by its number, one by one and page by page.
    #[test]
    fn numbers_find_their_values() {
        let mut paged = Paged::default();
        for value in 0..PAGE_VALUES as u32 * 2 + 3 {
            assert_eq!(paged.push(value), value);
            assert_eq!((paged.len(), paged[value]), (value as usize + 1, value));
        }
        paged[PAGE_VALUES as u32] += 1_000_000;
        assert_eq!(paged.iter().filter(|value| **value >= 1_000_000).count(), 1);
        let (mut from, mut seen) = (0, 0);
        while let page @ [_, ..] = paged.rest_of_page(from) {
            seen += page.len();
            from += page.len();
        }
        assert_eq!(seen, paged.len());
        assert_eq!(paged.rest_of_page(PAGE_VALUES + 1).len(), PAGE_VALUES - 1);
    }
}
