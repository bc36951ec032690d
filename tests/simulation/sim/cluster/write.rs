//! Every request that changes something.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use super::Verb;
use super::apply::{self, Entry, Operation, Writer};
use super::failure::{Failure, details};
use super::kind::Kind;
use super::object::Object;
use super::request::{Request, Target};
use super::rules;
use super::store::{Place, State};

/// What a write comes to.
pub type Written = Result<(StatusCode, Arc<Object>), Failure>;

/// The fields of the metadata that are the server's own, beside uid and resourceVersion.
const SYSTEMS: [&str; 6] =
    ["name", "namespace", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds"];

/// One write under way.
struct Write<'a> {
    place: Place<'a>,
    status: bool,
    verb: Verb,
    writer: Writer,
}

fn write<'a>(request: &Request, target: Target<'a>, name: &'a str, verb: Verb) -> Write<'a> {
    let operation = if verb == Verb::Apply { Operation::Apply } else { Operation::Update };
    Write {
        place: Place { kind: target.kind, namespace: target.namespace.unwrap_or_default(), name },
        status: target.status,
        verb,
        writer: Writer {
            manager: request.parameter("fieldManager").unwrap_or(request.agent()).to_owned(),
            operation,
            api_version: target.kind.api_version().to_owned(),
            status: target.status,
        },
    }
}

/// The object in a request, with what it says of itself checked.
fn body(request: &Request, target: Target<'_>) -> Result<Value, Failure> {
    let mut body: Value = serde_json::from_slice(&request.body)
        .map_err(|error| Failure::bad_request(&format!("the object provided is not valid: {error}")))?;
    if !body.is_object() {
        return Err(Failure::bad_request("the object provided is none"));
    }
    let expect = [
        ("/apiVersion", Some(target.kind.api_version())),
        ("/kind", Some(target.kind.name())),
        ("/metadata/namespace", target.namespace),
        ("/metadata/name", target.name),
    ];
    for (field, expected) in expect {
        let given = body.pointer(field).and_then(Value::as_str).filter(|given| !given.is_empty());
        if expected.is_some() && given.is_some() && given != expected {
            return Err(Failure::bad_request(&format!("{field} does not match: {given:?} for {expected:?}")));
        }
    }
    if !body["metadata"].is_object() {
        body["metadata"] = json!({});
    }
    Ok(body)
}

fn take(object: &mut Value, field: &str) -> Option<String> {
    let taken = object.get_mut("metadata")?.as_object_mut()?.remove(field)?;
    taken.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// The owners that a writer gives: `None` where it leaves them to the server.
fn given_owners(new: &mut Value) -> Option<Vec<Entry>> {
    let given = new.get_mut("metadata")?.as_object_mut()?.remove("managedFields")?;
    let given = given.as_array()?;
    let is_reset = given.len() == 1 && given[0].as_object().is_some_and(serde_json::Map::is_empty);
    let owners: Vec<Entry> = given.iter().map(Entry::from_json).filter(|owner| !owner.fields().is_empty()).collect();
    (is_reset || !owners.is_empty()).then_some(owners)
}

// === impl State ===

impl State {
    /// POST
    pub fn create(&mut self, request: &Request, target: Target<'_>) -> Written {
        let mut new = body(request, target)?;
        let name = new["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        if name.is_empty() {
            return Err(Failure::no_name(target.kind));
        }
        let write = write(request, target, &name, Verb::Create);
        take(&mut new, "uid");
        self.make(&write, new)
    }

    /// PUT
    pub fn replace(&mut self, request: &Request, target: Target<'_>) -> Written {
        let mut new = body(request, target)?;
        let write = write(request, target, target.name.unwrap_or_default(), Verb::Update);
        let about = write.place.about();
        let (uid, version) = (take(&mut new, "uid"), take(&mut new, "resourceVersion"));
        let Some(live) = self.find(write.place).cloned() else {
            if uid.is_some() && target.kind.is_created_by_put() {
                return Err(Failure::conflict(about, "Precondition failed: UID in precondition"));
            }
            return if target.kind.is_created_by_put() {
                self.make(&write, new)
            } else {
                Err(Failure::not_found(about))
            };
        };
        if uid.is_some_and(|uid| uid != live.metadata("uid")) {
            return Err(Failure::conflict(about, "Precondition failed: UID in precondition"));
        }
        if version.is_none() && !target.kind.is_put_unconditionally() {
            return Err(Failure::no_version(about));
        }
        if version.is_some_and(|version| version != live.metadata("resourceVersion")) {
            return Err(Failure::modified(about));
        }
        self.update(&write, &live, new)
    }

    /// PATCH `application/merge-patch+json`
    pub fn merge_patch(&mut self, request: &Request, target: Target<'_>) -> Written {
        let mut patch: Value =
            serde_json::from_slice(&request.body).map_err(|_| Failure::bad_request("the patch is not JSON"))?;
        let write = write(request, target, target.name.unwrap_or_default(), Verb::Update);
        let about = write.place.about();
        let live = self.find(write.place).cloned().ok_or_else(|| Failure::not_found(about))?;
        if let Some(version) = take(&mut patch, "resourceVersion")
            && version != live.metadata("resourceVersion")
        {
            return Err(Failure::modified(about));
        }
        let mut new = live.bare();
        patch_into(&mut new, &patch);
        self.update(&write, &live, new).map_err(Failure::of_patch)
    }

    /// PATCH `application/apply-patch+yaml`
    pub fn apply(&mut self, request: &Request, target: Target<'_>) -> Written {
        let mut config = body(request, target)?;
        let write = write(request, target, target.name.unwrap_or_default(), Verb::Apply);
        if request.parameter("fieldManager").is_none() {
            return Err(Failure::no_field_manager());
        }
        let about = write.place.about();
        if config["metadata"].get("managedFields").is_some() {
            return Err(Failure::bad_request("metadata.managedFields must be nil"));
        }
        if config.get("apiVersion").is_none() || config.get("kind").is_none() {
            return Err(Failure::bad_request("apiVersion and kind must be set"));
        }
        restrict(&mut config, target);
        let (uid, version) = (take(&mut config, "uid"), take(&mut config, "resourceVersion"));
        let Some(live) = self.find(write.place).cloned() else {
            if target.status {
                return Err(Failure::not_found(about));
            }
            if let Some(uid) = uid {
                let why =
                    format!("uid mismatch: the provided object specified uid {uid}, and no existing object was found");
                return Err(Failure::conflict(about, &why));
            }
            check_name(&config, about.name)?;
            return self.make(&write, config);
        };
        let owners = owners_of(&live, &write);
        let by = (write.writer.clone(), request.is_set("force"));
        let applied = apply::apply(owners, &live.value, live.bare(), &config, target.kind.type_(), by, self.now());
        let (mut new, owners) = applied.map_err(|conflicts| Failure::owned_by_others(&conflicts))?;
        if version.is_some_and(|version| version != live.metadata("resourceVersion")) {
            return Err(Failure::modified(about));
        }
        if let Some(uid) = uid {
            new["metadata"]["uid"] = uid.into();
        }
        check_name(&new, about.name)?;
        rules::prepare(write.place, write.status, Some(&live), &mut new)?;
        Ok((StatusCode::OK, self.store(&write, &live, new, owners)))
    }

    /// DELETE: what a `Status` or the object says of it.
    pub fn delete(&mut self, request: &Request, target: Target<'_>) -> Result<Bytes, Failure> {
        let place = write(request, target, target.name.unwrap_or_default(), Verb::Delete).place;
        let live = self.find(place).cloned().ok_or_else(|| Failure::not_found(place.about()))?;
        let options: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        for field in ["uid", "resourceVersion"] {
            if let Some(expected) = options["preconditions"][field].as_str()
                && expected != live.metadata(field)
            {
                return Err(Failure::precondition(place.about(), field, expected));
            }
        }
        if live.value["metadata"]["finalizers"].is_array() {
            let object = self.mark_for_deletion(place, &live);
            return Ok(object.json(false).clone());
        }
        self.remove(place, (Verb::Delete, false));
        let mut details = details(place.about(), place.kind.plural());
        details["uid"] = live.metadata("uid").into();
        let status =
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details});
        Ok(status.to_string().into())
    }

    fn mark_for_deletion(&mut self, place: Place<'_>, live: &Arc<Object>) -> Arc<Object> {
        if !live.metadata("deletionTimestamp").is_empty() {
            return Arc::clone(live);
        }
        let mut marked = live.bare();
        let metadata = &mut marked["metadata"];
        metadata["deletionTimestamp"] = json!(self.now());
        metadata["deletionGracePeriodSeconds"] = 0.into();
        if let Some(generation) = metadata["generation"].as_u64() {
            metadata["generation"] = (generation + 1).into();
        }
        self.put(place, (Verb::Delete, false), marked, live.owners.clone())
    }

    fn make(&mut self, write: &Write<'_>, mut new: Value) -> Written {
        let Place { kind, namespace, name } = write.place;
        let given = given_owners(&mut new).unwrap_or_default();
        let (empty, now) = (empty(kind), self.now());
        let (type_, writer) = (kind.type_(), write.writer.clone());
        let owners = if write.verb == Verb::Apply {
            let applied = apply::apply(vec![], &empty, empty.clone(), &new, type_, (writer, false), now);
            rules::prepare(write.place, write.status, None, &mut new)?;
            applied.map_err(|conflicts| Failure::owned_by_others(&conflicts))?.1
        } else {
            let version = take(&mut new, "resourceVersion");
            rules::prepare(write.place, write.status, None, &mut new)?;
            if write.verb == Verb::Create && version.is_some() {
                return Err(Failure::internal("resourceVersion should not be set on objects to be created"));
            }
            if self.find(write.place).is_some() {
                return Err(Failure::already_exists(write.place.about()));
            }
            if kind == Kind::Event { vec![] } else { apply::update(given, &empty, &new, type_, writer, now) }
        };
        new["apiVersion"] = kind.api_version().into();
        new["kind"] = kind.name().into();
        let metadata = &mut new["metadata"];
        metadata["name"] = name.into();
        metadata["namespace"] = namespace.into();
        metadata["uid"] = self.new_uid().into();
        metadata["creationTimestamp"] = json!(now);
        if kind == Kind::IamToken {
            metadata["generation"] = 1.into();
        }
        Ok((StatusCode::CREATED, self.put(write.place, (write.verb, false), new, owners)))
    }

    fn update(&mut self, write: &Write<'_>, live: &Arc<Object>, mut new: Value) -> Written {
        let given = given_owners(&mut new).filter(|_| !write.status);
        for field in ["apiVersion", "kind"] {
            new[field] = live.value[field].clone();
        }
        let metadata = new["metadata"].as_object_mut().ok_or_else(|| Failure::bad_request("metadata is none"))?;
        for field in SYSTEMS {
            match live.value["metadata"].get(field) {
                Some(value) => drop(metadata.insert(field.into(), value.clone())),
                None => drop(metadata.remove(field)),
            }
        }
        rules::prepare(write.place, write.status, Some(live), &mut new)?;
        let owners = match given {
            Some(given) => given,
            None => live.owners.clone(),
        };
        let owners = if owners.is_empty() {
            // Where nobody owns anything, nobody begins to but by an apply.
            vec![]
        } else {
            apply::update(owners, &live.value, &new, write.place.kind.type_(), write.writer.clone(), self.now())
        };
        Ok((StatusCode::OK, self.store(write, live, new, owners)))
    }

    /// Stores the new state, unless it is the old one.
    fn store(&mut self, write: &Write<'_>, live: &Arc<Object>, mut new: Value, owners: Vec<Entry>) -> Arc<Object> {
        if live.has_owners(&owners) && live.has_content_of(&new) {
            return Arc::clone(live);
        }
        if write.place.kind == Kind::IamToken && !write.status && live.has_other_spec_than(&new) {
            let generation = live.value["metadata"]["generation"].as_u64().unwrap_or_default();
            new["metadata"]["generation"] = (generation + 1).into();
        }
        let metadata = &new["metadata"];
        if metadata.get("deletionTimestamp").is_some() && metadata.get("finalizers").is_none() {
            self.remove(write.place, (write.verb, write.status));
            return Arc::new(Object::new(new, owners, live.revision));
        }
        self.put(write.place, (write.verb, write.status), new, owners)
    }
}

fn check_name(object: &Value, name: &str) -> Result<(), Failure> {
    let is_it = object["metadata"]["name"] == name;
    if is_it { Ok(()) } else { Err(Failure::bad_request("the name of the object does not match the name on the URL")) }
}

/// What an apply may say at all: the status through its subresource, and nothing else there.
fn restrict(config: &mut Value, target: Target<'_>) {
    if target.kind != Kind::IamToken {
        return;
    }
    let Some(config) = config.as_object_mut() else { return };
    if !target.status {
        config.remove("status");
        return;
    }
    config.retain(|field, _| ["apiVersion", "kind", "metadata", "status"].contains(&field.as_str()));
    if let Some(metadata) = config.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|field, _| ["name", "namespace", "uid", "resourceVersion"].contains(&field.as_str()));
    }
}

/// The owners before an apply. What has none belongs to `before-first-apply`.
fn owners_of(live: &Object, write: &Write<'_>) -> Vec<Entry> {
    if !live.owners.is_empty() {
        return live.owners.clone();
    }
    let writer = Writer {
        manager: "before-first-apply".into(),
        operation: Operation::Update,
        api_version: write.writer.api_version.clone(),
        status: false,
    };
    let time = live.metadata("creationTimestamp").parse().unwrap_or_default();
    apply::update(vec![], &empty(write.place.kind), &live.value, write.place.kind.type_(), writer, time)
}

/// What is there of an object before it is. The spec of a Lease is no pointer in Kubernetes' own type.
fn empty(kind: Kind) -> Value {
    if kind == Kind::Lease { json!({"metadata": {}, "spec": {}}) } else { json!({"metadata": {}}) }
}

/// RFC 7386
fn patch_into(value: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *value = patch.clone();
        return;
    };
    if !value.is_object() {
        *value = json!({});
    }
    let Some(map) = value.as_object_mut() else { return };
    for (field, patch) in patch {
        if patch.is_null() {
            map.remove(field);
        } else {
            patch_into(map.entry(field.clone()).or_insert(Value::Null), patch);
        }
    }
}
