//! Sets of fields, as `managedFields` holds them (FieldsV1 of structured-merge-diff).

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// A set of paths: whether this path is in it, and what is in it below this path. A step of a path is `f:<name>`,
/// `k:<key of a list item>` or `v:<item of a set>`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    pub member: bool,
    /// In the order of the steps.
    below: Vec<(Box<str>, Fields)>,
}

// === impl Fields ===

impl Fields {
    pub fn is_empty(&self) -> bool {
        !self.member && self.below.is_empty()
    }

    fn place(&self, step: &str) -> Result<usize, usize> {
        self.below.binary_search_by(|(other, _)| (**other).cmp(step))
    }

    pub fn get(&self, step: &str) -> Option<&Self> {
        self.place(step).ok().map(|place| &self.below[place].1)
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut Self)> {
        self.below.iter_mut().map(|(step, fields)| (&**step, fields))
    }

    /// Puts a subset in its place, if it is not empty.
    pub fn put(&mut self, step: impl FnOnce() -> String, fields: Self) {
        if fields.is_empty() {
            return;
        }
        let step = step().into_boxed_str();
        match self.place(&step) {
            Ok(place) => self.below[place].1 = fields,
            Err(place) => self.below.insert(place, (step, fields)),
        }
    }

    pub fn add(&mut self, other: &Self) {
        self.member |= other.member;
        for (step, fields) in &other.below {
            match self.place(step) {
                Ok(place) => self.below[place].1.add(fields),
                Err(place) => self.below.insert(place, (step.clone(), fields.clone())),
            }
        }
    }

    /// Takes away these very paths, and not what is below them.
    pub fn subtract(&mut self, other: &Self) {
        self.member &= !other.member;
        for (step, fields) in &other.below {
            if let Ok(place) = self.place(step) {
                self.below[place].1.subtract(fields);
                self.drop_if_empty(place);
            }
        }
    }

    fn drop_if_empty(&mut self, place: usize) {
        if self.below[place].1.is_empty() {
            self.below.remove(place);
        }
    }

    /// The paths that are in both.
    pub fn common(&self, other: &Self) -> Self {
        let mut both = Self { member: self.member && other.member, below: vec![] };
        for (step, fields) in &other.below {
            if let Some(mine) = self.get(step) {
                both.put(|| step.to_string(), mine.common(fields));
            }
        }
        both
    }

    /// Whether any path is in both.
    pub fn overlaps(&self, other: &Self) -> bool {
        let below = |(step, fields): &(Box<str>, Self)| self.get(step).is_some_and(|mine| mine.overlaps(fields));
        (self.member && other.member) || other.below.iter().any(below)
    }

    /// Whether all paths of the other are in it.
    pub fn holds(&self, other: &Self) -> bool {
        let below = |(step, fields): &(Box<str>, Self)| self.get(step).is_some_and(|mine| mine.holds(fields));
        (self.member || !other.member) && other.below.iter().all(below)
    }

    /// Takes away one path.
    pub fn remove(&mut self, path: &[&str]) {
        let Some((first, rest)) = path.split_first() else {
            self.member = false;
            return;
        };
        if let Ok(place) = self.place(first) {
            self.below[place].1.remove(rest);
            self.drop_if_empty(place);
        }
    }

    /// Each path as a conflict names it: `.data.token`.
    pub fn paths(&self) -> Vec<String> {
        let mut paths = vec![];
        self.collect(String::new(), &mut paths);
        paths
    }

    fn collect(&self, path: String, into: &mut Vec<String>) {
        for (step, fields) in &self.below {
            let step = match step.split_at(2) {
                ("f:", name) => format!("{path}.{name}"),
                ("k:", key) => {
                    let key: Map<String, Value> = serde_json::from_str(key).unwrap_or_default();
                    let key: Vec<String> = key.iter().map(|(name, value)| format!("{name}={value}")).collect();
                    format!("{path}[{}]", key.join(","))
                }
                (_, item) => format!("{path}[={item}]"),
            };
            fields.collect(step, into);
        }
        if self.member {
            into.push(path);
        }
    }

    pub fn from_json(json: &Value) -> Self {
        let Some(json) = json.as_object() else { return Self::default() };
        let mut all = Self { member: json.contains_key("."), below: vec![] };
        for (step, fields) in json.iter().filter(|(step, _)| *step != ".") {
            let mut fields = Self::from_json(fields);
            fields.member |= fields.below.is_empty();
            all.put(|| step.clone(), fields);
        }
        all
    }

    /// Appends the JSON.
    pub fn write(&self, json: &mut String) {
        json.push('{');
        if self.member && !self.below.is_empty() {
            json.push_str(r#"".":{}"#);
        }
        for (number, (step, fields)) in self.below.iter().enumerate() {
            if number > 0 || self.member {
                json.push(',');
            }
            let _ = write!(json, "{}:", Value::from(&**step));
            fields.write(json);
        }
        json.push('}');
    }
}
