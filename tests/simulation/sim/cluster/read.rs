//! Every request that changes nothing, but for watches.

use std::sync::Arc;

use bytes::{BufMut as _, Bytes, BytesMut};
use serde_json::json;

use super::Revision;
use super::failure::{Failure, Object as About};
use super::object::Object;
use super::request::{Request, Target};
use super::store::{Place, State};

/// How many lists may be read page by page at a time.
const PAGED: usize = 16;

/// A list that is read page by page.
pub struct Page {
    revision: Revision,
    items: Vec<Arc<Object>>,
}

/// The name that a field selector selects.
pub fn selected_name(request: &Request) -> Option<&str> {
    assert!(request.parameter("labelSelector").is_none(), "label selectors are not served");
    let selector = request.parameter("fieldSelector")?;
    Some(selector.strip_prefix("metadata.name=").expect("no other field selector is served"))
}

// === impl State ===

impl State {
    /// GET of one object.
    pub fn get(&self, request: &Request, target: Target<'_>) -> Result<Bytes, Failure> {
        let name = target.name.unwrap_or_default();
        let place = Place { kind: target.kind, namespace: target.namespace.unwrap_or_default(), name };
        let found = self.find(place).ok_or_else(|| Failure::not_found(About { kind: target.kind, name }))?;
        Ok(found.json(request.wants_metadata()).clone())
    }

    /// GET of a list, or of one of its pages.
    pub fn list(&mut self, request: &Request, target: Target<'_>) -> Result<Bytes, Failure> {
        let limit = request.parameter("limit").and_then(|limit| limit.parse().ok()).unwrap_or(usize::MAX);
        // As the watch cache does, which serves such lists.
        let limit = if request.parameter("resourceVersion") == Some("0") { usize::MAX } else { limit };
        let metadata_only = request.wants_metadata();
        let kind = target.kind;
        let api = if metadata_only { "meta.k8s.io/v1" } else { kind.api_version() };
        let name = if metadata_only { "PartialObjectMetadata" } else { kind.name() };
        let answer = |items: &[Arc<Object>], metadata: serde_json::Value| {
            if metadata_only && items.is_empty() {
                let json =
                    json!({"apiVersion": api, "kind": format!("{name}List"), "metadata": metadata, "items": null});
                return Bytes::from(json.to_string());
            }
            let size: usize = items.iter().map(|item| item.json(metadata_only).len() + 1).sum();
            let mut json = BytesMut::with_capacity(size + 256);
            json.put(
                format!(r#"{{"apiVersion":"{api}","kind":"{name}List","metadata":{metadata},"items":["#).as_bytes(),
            );
            for (number, item) in items.iter().enumerate() {
                json.put(if number == 0 { &b""[..] } else { b"," });
                json.put(item.json(metadata_only).as_ref());
            }
            json.put(&b"]}"[..]);
            json.freeze()
        };
        let (number, from) = if let Some(token) = request.parameter("continue") {
            self.page(token)?
        } else {
            let items = self.select(request, target);
            if items.len() <= limit {
                return Ok(answer(&items, json!({"resourceVersion": self.revision.to_string()})));
            }
            self.paged += 1;
            self.pages.insert(self.paged, Page { revision: self.revision, items });
            while self.pages.len() > PAGED {
                self.pages.pop_first();
            }
            (self.paged, 0)
        };
        let page = &self.pages[&number];
        let to = page.items.len().min(from.saturating_add(limit));
        let mut metadata = json!({"resourceVersion": page.revision.to_string()});
        if to < page.items.len() {
            metadata["continue"] = format!("{number}.{to}").into();
            metadata["remainingItemCount"] = (page.items.len() - to).into();
        }
        Ok(answer(&page.items[from..to], metadata))
    }

    fn page(&self, token: &str) -> Result<(u64, usize), Failure> {
        let parsed = token.split_once('.').and_then(|(page, from)| Some((page.parse().ok()?, from.parse().ok()?)));
        let (number, from) = parsed.ok_or_else(|| Failure::bad_request("continue key is not valid"))?;
        let expired = "The provided continue parameter is too old to display a consistent list result.";
        if self.pages.contains_key(&number) { Ok((number, from)) } else { Err(Failure::expired(expired)) }
    }

    /// All objects that a list or a watch asks for.
    pub fn select(&self, request: &Request, target: Target<'_>) -> Vec<Arc<Object>> {
        let objects = &self.table(target.kind).objects;
        let name = selected_name(request);
        let namespaces = objects.iter().filter(|(namespace, _)| target.namespace.is_none_or(|it| it == *namespace));
        let all = namespaces.flat_map(|(_, names)| names);
        all.filter(|(other, _)| name.is_none_or(|it| it == *other)).map(|(_, object)| Arc::clone(object)).collect()
    }
}
