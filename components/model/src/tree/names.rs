//! The function names of one tree, end to end in one text.

/// Names by number, in the order they were pushed. One allocation for all texts: 8 B and the text per name.
#[derive(Clone, Debug, Default)]
pub struct Names {
    text: String,
    ends: Vec<usize>,
}

impl Names {
    /// No names.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// No names, with room for `names` of them and `bytes` of text.
    #[must_use]
    pub fn with_capacity(names: usize, bytes: usize) -> Self {
        Self {
            text: String::with_capacity(bytes),
            ends: Vec::with_capacity(names),
        }
    }

    /// Adds a name and returns its number. Does not look whether it is there already.
    ///
    /// # Panics
    /// With more than 2³² names.
    pub fn push(&mut self, name: &str) -> u32 {
        let id = u32::try_from(self.ends.len()).expect("a tree has fewer than 2^32 names");
        self.text.push_str(name);
        self.ends.push(self.text.len());
        id
    }

    /// The name with this number.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn get(&self, id: u32) -> &str {
        let id = id as usize;
        let start = id.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[id]]
    }

    /// How many names there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The number of a name, by looking at all of them.
    pub(crate) fn find(&self, name: &str) -> Option<u32> {
        let mut start = 0;
        for (id, &end) in self.ends.iter().enumerate() {
            if end - start == name.len() && &self.text[start..end] == name {
                return u32::try_from(id).ok();
            }
            start = end;
        }
        None
    }
}

impl<S: AsRef<str>> FromIterator<S> for Names {
    fn from_iter<I: IntoIterator<Item = S>>(names: I) -> Self {
        let mut all = Self::new();
        for name in names {
            all.push(name.as_ref());
        }
        all
    }
}
