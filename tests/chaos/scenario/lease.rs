//! What the audit log tells of who acted, and whether they held the lease.

use k8s_openapi::jiff::Timestamp;
use testkit::control_plane::AuditEvent;

/// The writes that took effect although another replica had the lease, in words. Events do not count: they change nothing.
pub fn usurpers(mut events: Vec<AuditEvent>) -> Vec<String> {
    events.sort_by_key(|event| event.received);
    let (mut leader, mut found) = (None, vec![]);
    for event in events.iter().filter(|event| is_write(event)) {
        let user = event.user.as_str();
        if event.resource == "leases" {
            leader = Some((user, event.received));
        } else if let Some((holder, since)) = leader.filter(|(holder, _)| *holder != user) {
            found.push(usurped(event, holder, since));
        }
    }
    found
}

fn is_write(event: &AuditEvent) -> bool {
    let writes = ["create", "update", "patch", "delete", "deletecollection"];
    writes.contains(&event.verb.as_str()) && event.code < 300 && event.group != "events.k8s.io"
}

fn usurped(event: &AuditEvent, holder: &str, since: Timestamp) -> String {
    let AuditEvent { user, verb, resource, subresource, name, received, .. } = event;
    format!("{user}: {verb} {resource}/{subresource} {name} at {received}, though {holder} wrote the lease at {since}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(second: i64, user: &str, resource: &str, code: u16) -> AuditEvent {
        let [verb, user, resource] = ["update", user, resource].map(str::to_owned);
        let (group, subresource, namespace, name, user_agent, uri) = Default::default();
        let received = Timestamp::from_second(second).unwrap();
        AuditEvent { verb, group, resource, subresource, namespace, name, user, user_agent, code, uri, received }
    }

    #[test]
    fn who_writes_under_anothers_lease_is_found() {
        let good = [
            write(1, "a", "leases", 201),
            write(2, "a", "secrets", 200),
            write(3, "b", "leases", 409),
            write(4, "a", "secrets", 200),
            write(5, "b", "leases", 200),
            write(6, "a", "secrets", 409),
            write(7, "b", "secrets", 200),
        ];
        assert_eq!(usurpers(good.to_vec()), [""; 0]);
        let late = write(6, "a", "secrets", 200);
        assert_eq!(usurpers(good.into_iter().chain([late]).collect()).len(), 1);
    }
}
