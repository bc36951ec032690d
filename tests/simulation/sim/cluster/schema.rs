//! How values of each kind are merged and compared, as far as server-side apply asks for it (the typed values of
//! structured-merge-diff).

use serde_json::{Map, Value};

use super::fields::Fields;

/// How a value is merged.
#[derive(Debug)]
pub enum Type {
    /// As a whole: a scalar, or a map or list that is atomic.
    Whole,
    /// Key by key, whatever the keys.
    Map,
    /// Field by field. Fields that are not listed are [`Type::Whole`].
    Struct(&'static [(&'static str, Type)]),
    /// Item by item, of which this field is the key.
    Keyed(&'static str, &'static Type),
    /// Item by item; the items are their own keys.
    Set,
}

/// What one value has that another has not.
#[derive(Debug, Default)]
pub struct Comparison {
    pub added: Fields,
    pub modified: Fields,
    pub removed: Fields,
}

const METADATA: Type = Type::Struct(&[
    ("annotations", Type::Map),
    ("finalizers", Type::Set),
    ("labels", Type::Map),
    ("ownerReferences", Type::Keyed("uid", &Type::Whole)),
]);

/// A Secret.
pub static SECRET: Type = Type::Struct(&[("data", Type::Map), ("metadata", METADATA), ("stringData", Type::Map)]);

/// A Lease.
pub static LEASE: Type = Type::Struct(&[("metadata", METADATA), ("spec", Type::Struct(&[]))]);

/// An IamToken, as `crds/iamtokens.yaml` has it.
pub static IAM_TOKEN: Type = Type::Struct(&[
    ("metadata", METADATA),
    (
        "spec",
        Type::Struct(&[
            ("apiKeySecretRef", Type::Struct(&[])),
            ("credentialRef", Type::Struct(&[])),
            ("serviceAccountRef", Type::Struct(&[])),
            ("target", Type::Struct(&[("annotations", Type::Map), ("labels", Type::Map)])),
            ("trustedProfile", Type::Struct(&[])),
        ]),
    ),
    (
        "status",
        Type::Struct(&[
            ("conditions", Type::Keyed("type", &Type::Struct(&[]))),
            ("identity", Type::Struct(&[])),
            ("target", Type::Struct(&[])),
        ]),
    ),
]);

// === impl Type ===

impl Type {
    fn field(&self, name: &str) -> &Self {
        match self {
            Self::Struct(fields) => fields.iter().find(|field| field.0 == name).map_or(&Self::Whole, |field| &field.1),
            _ => &Self::Whole,
        }
    }

    fn item(&self) -> &Self {
        match self {
            Self::Keyed(_, item) => item,
            _ => &Self::Whole,
        }
    }

    /// The type below a step of a path.
    fn below(&self, step: &str) -> &Self {
        step.strip_prefix("f:").map_or_else(|| self.item(), |name| self.field(name))
    }

    /// The step to an item of a list.
    fn step(&self, item: &Value) -> String {
        match self {
            Self::Keyed(key, _) => format!("k:{{{}:{}}}", Value::from(*key), item[*key]),
            _ => format!("v:{item}"),
        }
    }

    fn same_item(&self, one: &Value, other: &Value) -> bool {
        match self {
            Self::Keyed(key, _) => one[*key] == other[*key],
            _ => one == other,
        }
    }
}

/// The parts of a value, by how it is merged.
enum Parts<'a> {
    One,
    Map(&'a Map<String, Value>),
    List(&'a [Value]),
}

fn parts<'a>(value: &'a Value, type_: &Type) -> Parts<'a> {
    match (type_, value) {
        (Type::Map | Type::Struct(_), Value::Object(map)) => Parts::Map(map),
        (Type::Keyed(..) | Type::Set, Value::Array(list)) => Parts::List(list),
        _ => Parts::One,
    }
}

fn is_hollow(value: Option<&Value>) -> bool {
    match value {
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Array(list)) => list.is_empty(),
        Some(value) => value.is_null(),
        None => true,
    }
}

/// The fields of a value, as an applier that applies it owns them.
pub fn fields(value: &Value, type_: &Type) -> Fields {
    let mut fields = Fields::default();
    match parts(value, type_) {
        Parts::One => fields.member = true,
        Parts::Map(map) => {
            for (name, value) in map {
                let mut below = self::fields(value, type_.field(name));
                below.member |= value.is_null() || value.as_object().is_some_and(Map::is_empty);
                fields.put(|| format!("f:{name}"), below);
            }
        }
        Parts::List(list) => {
            for item in list {
                let mut below = self::fields(item, type_.item());
                below.member = true;
                fields.put(|| type_.step(item), below);
            }
        }
    }
    fields
}

/// What distinguishes `new` from `old`.
pub fn compare(old: Option<&Value>, new: Option<&Value>, type_: &Type) -> Comparison {
    let mut found = Comparison::default();
    if old == new {
        return found;
    }
    let hollow = is_hollow(old) && is_hollow(new);
    let shape = [new, old].into_iter().flatten().find(|value| !value.is_null()).map(|value| parts(value, type_));
    match shape {
        Some(Parts::Map(_)) if !hollow => {
            let (old, new) = (old.and_then(Value::as_object), new.and_then(Value::as_object));
            for (name, before) in old.into_iter().flatten() {
                let after = new.and_then(|new| new.get(name));
                found.put(|| format!("f:{name}"), compare(Some(before), after, type_.field(name)));
            }
            for (name, after) in new.into_iter().flatten().filter(|(name, _)| !has(old, name)) {
                found.put(|| format!("f:{name}"), compare(None, Some(after), type_.field(name)));
            }
        }
        Some(Parts::List(_)) if !hollow => {
            let (old, new) = (items(old), items(new));
            for before in old {
                let after = new.iter().find(|item| type_.same_item(item, before));
                found.put(|| type_.step(before), compare(Some(before), after, type_.item()));
            }
            for after in new.iter().filter(|after| !old.iter().any(|item| type_.same_item(item, after))) {
                found.put(|| type_.step(after), compare(None, Some(after), type_.item()));
            }
        }
        _ => found.modified.member = old.is_some() && new.is_some(),
    }
    found.added.member = old.is_none();
    found.removed.member = new.is_none();
    found
}

fn items(list: Option<&Value>) -> &[Value] {
    list.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn has(map: Option<&Map<String, Value>>, name: &str) -> bool {
    map.is_some_and(|map| map.contains_key(name))
}

// === impl Comparison ===

impl Comparison {
    fn put(&mut self, step: impl Fn() -> String, below: Self) {
        self.added.put(&step, below.added);
        self.modified.put(&step, below.modified);
        self.removed.put(&step, below.removed);
    }
}

/// Lays what is applied over what is there.
pub fn merge(there: &mut Value, applied: &Value, type_: &Type) {
    match (type_, &mut *there, applied) {
        (Type::Map | Type::Struct(_), Value::Object(there), Value::Object(applied)) => {
            for (name, value) in applied {
                match there.get_mut(name) {
                    Some(before) => merge(before, value, type_.field(name)),
                    None => drop(there.insert(name.clone(), value.clone())),
                }
            }
        }
        (Type::Keyed(..) | Type::Set, Value::Array(there), Value::Array(applied)) => {
            *there = merge_lists(there, applied, type_);
        }
        _ => *there = applied.clone(),
    }
}

/// In the order of what is applied, with the others where they were (`mergingWalker.visitListItems`).
fn merge_lists(there: &[Value], applied: &[Value], type_: &Type) -> Vec<Value> {
    let find = |list: &'_ [Value], item: &Value| list.iter().position(|other| type_.same_item(other, item));
    let merged = |item: &Value| match find(there, item) {
        Some(place) => {
            let mut merged = there[place].clone();
            merge(&mut merged, item, type_.item());
            merged
        }
        None => item.clone(),
    };
    let mut out: Vec<Value> = vec![];
    let (mut left, mut right) = (0, 0);
    while left < there.len() || right < applied.len() {
        if let Some(before) = there.get(left) {
            let mut shared = applied.iter().skip(right).filter_map(|item| find(there, item));
            match find(applied, before) {
                // Of others, and in its place.
                None => {
                    out.push(before.clone());
                    left += 1;
                    continue;
                }
                Some(place) if place == right => left += 1,
                // Others that are applied come first.
                Some(_) if shared.next().is_some_and(|next| next != left) => {
                    left += 1;
                    continue;
                }
                // Has been merged.
                Some(place) if place < right => left += 1,
                Some(_) => {}
            }
        }
        if let Some(item) = applied.get(right) {
            out.push(merged(item));
            right += 1;
        }
    }
    out
}

/// Takes away what [`remove`] has left empty.
pub fn drop_nulls(value: &mut Value) {
    if let Value::Object(map) = value {
        map.retain(|_, value| !value.is_null());
        map.values_mut().for_each(drop_nulls);
    }
}

/// Takes these fields away, each with all that is below it.
pub fn remove(value: &mut Value, fields: &Fields, type_: &Type) {
    let keep = |step: &str, value: &mut Value, type_: &Type| match fields.get(step) {
        Some(gone) if gone.member => false,
        Some(gone) => {
            remove(value, gone, type_);
            // It is still there, though nothing is in it.
            if is_hollow(Some(value)) {
                *value = Value::Null;
            }
            true
        }
        None => true,
    };
    match (type_, value) {
        (Type::Map | Type::Struct(_), Value::Object(map)) => {
            map.retain(|name, value| keep(&format!("f:{name}"), value, type_.field(name)));
        }
        (Type::Keyed(..) | Type::Set, Value::Array(list)) => {
            list.retain_mut(|item| keep(&type_.step(item), item, type_.item()));
        }
        _ => {}
    }
}

/// Makes every named field a member that has a member below it (`EnsureNamedFieldsAreMembers`).
pub fn name(fields: &mut Fields, type_: &Type) {
    for (step, below) in fields.iter_mut() {
        below.member |= matches!(type_, Type::Struct(_)) && step.starts_with("f:");
        name(below, type_.below(step));
    }
}
