//! Which request to the API server it is, by its method and its path: `/api/v1/…` or `/apis/GROUP/VERSION/…`, then
//! perhaps `namespaces/NAME/`, then resource, name and subresource.

use http::{Method, Uri};

use super::labels::{Resource, Verb};
use crate::cluster::deadline::is_watch;

/// The verb and the resource of a request.
pub(in crate::telemetry) fn classify(method: &Method, uri: &Uri) -> (Verb, Resource) {
    let mut path = uri.path().trim_start_matches('/').split('/').peekable();
    let prefix = if path.next() == Some("api") { 1 } else { 2 };
    let mut path = path.skip(prefix).peekable();
    if path.peek() == Some(&"namespaces") {
        path.nth(1);
        if path.peek().is_none() {
            return (verb(method, uri, false), Resource::Namespaces);
        }
    }
    let (resource, name, part) = (path.next(), path.next(), path.next());
    (verb(method, uri, name.is_some()), self::resource(resource, part))
}

fn verb(method: &Method, uri: &Uri, of_one: bool) -> Verb {
    match (method.as_str(), of_one) {
        ("GET", true) => Verb::Get,
        ("GET", false) if is_watch(uri) => Verb::Watch,
        ("GET", false) => Verb::List,
        ("POST", _) => Verb::Create,
        ("PUT", _) => Verb::Update,
        ("PATCH", _) => Verb::Patch,
        ("DELETE", _) => Verb::Delete,
        _ => Verb::Other,
    }
}

fn resource(resource: Option<&str>, part: Option<&str>) -> Resource {
    match (resource, part) {
        (Some("iamtokens"), None) => Resource::IamTokens,
        (Some("iamtokens"), Some("status")) => Resource::IamTokenStatus,
        (Some("secrets"), None) => Resource::Secrets,
        (Some("clusteriamcredentials"), None) => Resource::ClusterIamCredentials,
        (Some("clusteriamcredentials"), Some("status")) => Resource::ClusterIamCredentialStatus,
        (Some("events"), None) => Resource::Events,
        (Some("leases"), None) => Resource::Leases,
        (Some("tokenreviews"), None) => Resource::TokenReviews,
        (Some("subjectaccessreviews"), None) => Resource::SubjectAccessReviews,
        _ => Resource::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(method: &Method, uri: &str) -> (&'static str, &'static str) {
        let (verb, resource) = classify(method, &uri.parse().unwrap());
        (verb.as_str(), resource.as_str())
    }

    #[test]
    fn every_request_of_the_operator_has_its_verb_and_resource() {
        let tokens = "/apis/iamtoken.dev/v1alpha1";
        assert_eq!(of(&Method::GET, &format!("{tokens}/iamtokens?limit=500")), ("list", "iamtokens"));
        assert_eq!(
            of(&Method::GET, &format!("{tokens}/namespaces/a/iamtokens?&watch=true&x=1")),
            ("watch", "iamtokens")
        );
        assert_eq!(of(&Method::GET, &format!("{tokens}/namespaces/a/iamtokens/watch")), ("get", "iamtokens"));
        let status = format!("{tokens}/namespaces/a/iamtokens/hpcs/status?&force=true");
        assert_eq!(of(&Method::PATCH, &status), ("patch", "iamtokens/status"));
        assert_eq!(of(&Method::GET, "/api/v1/secrets?&watch=1"), ("watch", "secrets"));
        assert_eq!(of(&Method::GET, "/api/v1/namespaces/secrets/secrets/hpcs"), ("get", "secrets"));
        assert_eq!(of(&Method::PATCH, "/api/v1/namespaces/a/secrets/hpcs"), ("patch", "secrets"));
        assert_eq!(of(&Method::DELETE, "/api/v1/namespaces/a/secrets/hpcs"), ("delete", "secrets"));
        assert_eq!(of(&Method::POST, "/apis/events.k8s.io/v1/namespaces/a/events"), ("create", "events"));
        assert_eq!(of(&Method::GET, "/api/v1/namespaces?&watch=true"), ("watch", "namespaces"));
        let credential = format!("{tokens}/clusteriamcredentials/payments");
        assert_eq!(of(&Method::GET, &credential), ("get", "clusteriamcredentials"));
        let status = format!("{credential}/status");
        assert_eq!(of(&Method::PATCH, &status), ("patch", "clusteriamcredentials/status"));
        assert_eq!(of(&Method::POST, "/apis/authentication.k8s.io/v1/tokenreviews"), ("create", "tokenreviews"));
        let access = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
        assert_eq!(of(&Method::POST, access), ("create", "subjectaccessreviews"));
        let leases = "/apis/coordination.k8s.io/v1/namespaces/a/leases";
        assert_eq!(of(&Method::PUT, &format!("{leases}/iam-token-operator")), ("update", "leases"));
    }

    #[test]
    fn what_is_none_of_them_is_other() {
        assert_eq!(of(&Method::GET, "/version"), ("list", "other"));
        assert_eq!(of(&Method::GET, "/"), ("list", "other"));
        assert_eq!(of(&Method::HEAD, "/api/v1/namespaces/a/pods/b/secrets"), ("other", "other"));
    }
}
