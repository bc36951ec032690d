//! Who owns which field: what server-side apply and every other write make of `managedFields`. The steps and their order
//! are those of structured-merge-diff (`merge/update.go`) and of apimachinery (`util/managedfields`).

use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::fields::Fields;
use super::object::same_content;
use super::schema::{Type, compare, fields, merge, name, remove};

/// How a manager came to own its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// By server-side apply.
    Apply,
    /// By any other write.
    Update,
}

/// Who writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writer {
    pub manager: String,
    pub operation: Operation,
    pub api_version: String,
    pub status: bool,
}

/// One entry of `managedFields`. Clones share what they do not change.
#[derive(Clone, Debug)]
pub struct Entry {
    pub writer: Arc<Writer>,
    /// `None` where it applied only what was there already.
    pub time: Option<Timestamp>,
    owned: Arc<Owned>,
}

/// Fields, and their JSON once it is asked for.
#[derive(Debug, Default)]
struct Owned {
    fields: Fields,
    json: OnceLock<String>,
}

/// Fields that others own and that an apply would change.
#[derive(Debug)]
pub struct Conflict {
    pub manager: String,
    pub operation: Operation,
    pub api_version: String,
    pub paths: Vec<String>,
}

/// Fields that nobody owns.
const NOBODYS: [&[&str]; 11] = [
    &["f:apiVersion"],
    &["f:kind"],
    &["f:metadata"],
    &["f:metadata", "f:name"],
    &["f:metadata", "f:namespace"],
    &["f:metadata", "f:creationTimestamp"],
    &["f:metadata", "f:deletionTimestamp"],
    &["f:metadata", "f:uid"],
    &["f:metadata", "f:generation"],
    &["f:metadata", "f:managedFields"],
    &["f:metadata", "f:resourceVersion"],
];

fn strip(fields: &mut Fields) {
    for path in NOBODYS {
        fields.remove(path);
    }
}

// === impl Writer ===

impl Writer {
    /// Whether it is the same manager: an applier is, whatever the version that it applies.
    fn is(&self, other: &Self) -> bool {
        let version = self.operation == Operation::Apply || self.api_version == other.api_version;
        let same = self.manager == other.manager && self.operation == other.operation && self.status == other.status;
        same && version
    }
}

// === impl Entry ===

impl Entry {
    fn new(writer: Arc<Writer>, time: Option<Timestamp>, fields: Fields) -> Self {
        Self { writer, time, owned: Arc::new(Owned { fields, json: OnceLock::new() }) }
    }

    pub fn fields(&self) -> &Fields {
        &self.owned.fields
    }

    fn set_fields(&mut self, fields: Fields) {
        self.owned = Arc::new(Owned { fields, json: OnceLock::new() });
    }

    fn lose(&mut self, fields: &Fields) {
        if self.fields().overlaps(fields) {
            let mut left = self.fields().clone();
            left.subtract(fields);
            self.set_fields(left);
        }
    }

    /// Whether it says the same, at whatever time.
    pub fn says(&self, other: &Self) -> bool {
        let same = Arc::ptr_eq(&self.owned, &other.owned) || self.fields() == other.fields();
        same && self.writer == other.writer
    }

    /// From an entry of `metadata.managedFields`.
    pub fn from_json(json: &Value) -> Self {
        let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
        let operation = if json["operation"] == "Apply" { Operation::Apply } else { Operation::Update };
        let (manager, api_version) = (text("manager"), text("apiVersion"));
        let writer = Writer { manager, operation, api_version, status: json["subresource"] == "status" };
        Self::new(Arc::new(writer), text("time").parse().ok(), Fields::from_json(&json["fieldsV1"]))
    }

    /// Appends it as `metadata.managedFields` has it.
    pub fn write(&self, json: &mut String) {
        let writer = &self.writer;
        let fields = self.owned.json.get_or_init(|| {
            let mut json = String::new();
            self.owned.fields.write(&mut json);
            json
        });
        let _ = write!(json, r#"{{"apiVersion":{},"fieldsType":"FieldsV1""#, json!(writer.api_version));
        let _ = write!(json, r#","fieldsV1":{fields},"operation":"{:?}""#, writer.operation);
        if !writer.manager.is_empty() {
            let _ = write!(json, r#","manager":{}"#, json!(writer.manager));
        }
        if writer.status {
            json.push_str(r#","subresource":"status""#);
        }
        if let Some(time) = self.time {
            let _ = write!(json, r#","time":"{time}""#);
        }
        json.push('}');
    }
}

/// What any other write than an apply makes of the owners: the writer takes what it changes.
pub fn update(
    mut owners: Vec<Entry>,
    live: &Value,
    new: &Value,
    type_: &Type,
    writer: Writer,
    now: Timestamp,
) -> Vec<Entry> {
    let change = compare(Some(live), Some(new), type_);
    let mut taken = change.modified;
    taken.add(&change.added);
    for owner in &mut owners {
        owner.lose(&taken);
        owner.lose(&change.removed);
    }
    strip(&mut taken);
    if !taken.is_empty() {
        match owners.iter_mut().find(|owner| owner.writer.is(&writer)) {
            Some(owner) => {
                taken.add(owner.fields());
                owner.set_fields(taken);
                owner.time = Some(now);
            }
            None => owners.push(Entry::new(Arc::new(writer), Some(now), taken)),
        }
    }
    in_order(owners)
}

/// Server-side apply: the object that comes of it, and its owners. `merged` is a copy of `live` to begin with, which may
/// lack what the server itself puts into the metadata.
///
/// # Errors
/// Where others own what it would change, and it is not forced.
pub fn apply(
    mut owners: Vec<Entry>,
    live: &Value,
    mut merged: Value,
    config: &Value,
    type_: &Type,
    (writer, force): (Writer, bool),
    now: Timestamp,
) -> Result<(Value, Vec<Entry>), Vec<Conflict>> {
    let mut wanted = fields(config, type_);
    merge(&mut merged, config, type_);
    let place = owners.iter().position(|owner| owner.writer.is(&writer));
    let before = place.map(|place| owners.remove(place));
    if let Some(before) = &before
        && !wanted.holds(before.fields())
    {
        merged = prune(merged, before.fields().clone(), &wanted, &owners, type_);
    }
    let change = compare(Some(live), Some(&merged), type_);
    let is_same = same_content(live, &merged);
    let mut taken = change.modified;
    taken.add(&change.added);
    let conflicts: Vec<Conflict> = owners
        .iter()
        .filter(|owner| owner.fields().overlaps(&taken))
        .map(|owner| Conflict {
            manager: owner.writer.manager.clone(),
            operation: owner.writer.operation,
            api_version: owner.writer.api_version.clone(),
            paths: owner.fields().common(&taken).paths(),
        })
        .collect();
    if !force && !conflicts.is_empty() {
        return Err(conflicts);
    }
    for owner in &mut owners {
        owner.lose(&taken);
        owner.lose(&change.removed);
    }
    let time = if is_same { before.as_ref().and_then(|before| before.time) } else { Some(now) };
    strip(&mut wanted);
    owners.push(match before {
        Some(before) if *before.fields() == wanted && *before.writer == writer => Entry { time, ..before },
        _ => Entry::new(Arc::new(writer), time, wanted),
    });
    Ok((merged, in_order(owners)))
}

/// Removes what the applier applied before and applies no longer, if nobody else owns it.
fn prune(merged: Value, mut before: Fields, wanted: &Fields, others: &[Entry], type_: &Type) -> Value {
    name(&mut before, type_);
    let named = |value: &Value| {
        let mut fields = fields(value, type_);
        name(&mut fields, type_);
        fields
    };
    let all = named(&merged);
    // What somebody owns stays.
    let mut owned = wanted.clone();
    for other in others {
        owned.add(other.fields());
    }
    name(&mut owned, type_);
    let mut pruned = merged.clone();
    remove(&mut pruned, &before, type_);
    owned.add(&named(&pruned));
    let mut gone = all.clone();
    gone.subtract(&owned);
    let mut pruned = merged.clone();
    remove(&mut pruned, &gone, type_);
    // So does what the applier never owned.
    let mut gone = all;
    gone.subtract(&named(&pruned));
    let mut left = merged;
    remove(&mut left, &gone.common(&before), type_);
    left
}

fn in_order(mut owners: Vec<Entry>) -> Vec<Entry> {
    owners.retain(|owner| !owner.fields().is_empty());
    owners.sort_by(|one, other| {
        let key = |entry: &Entry| (entry.writer.operation, entry.time);
        key(one)
            .cmp(&key(other))
            .then_with(|| one.writer.manager.cmp(&other.writer.manager))
            .then_with(|| one.writer.api_version.cmp(&other.writer.api_version))
            .then_with(|| one.writer.status.cmp(&other.writer.status))
    });
    owners
}
