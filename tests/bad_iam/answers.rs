//! Each wrong answer, with no token yet and with one in place.

use std::time::Duration;

use futures::future::join_all;
use iam_token_operator::api::REFRESH_REQUESTED;
use k8s_openapi::jiff::SignedDuration;
use testkit::fake_iam::{FakeIam, Fault};

use crate::harness::World;
use crate::history::{History, Seen};
use crate::rows::{Row, rows, shorter_lived};
use crate::scene::{Case, Cure, Trap, assert_all_good, ensure};

/// How long the tokens in place live, in seconds: they are refreshed at half of it.
const LIFETIME: u64 = 12;

/// What the operator's clock and a busy machine may add to the moment of expiry.
const DOUBT: SignedDuration = SignedDuration::from_secs(2);

/// Enough to make a token newer than the one before: both are told apart by whole seconds.
const ANOTHER_SECOND: Duration = Duration::from_millis(1100);

#[tokio::test]
async fn without_a_token_each_is_told_and_overcome() {
    let trap = Trap::set();
    let world = with_an_endpoint_each(rows(&trap.url()).len()).await;
    let history = History::of(&world).await;
    let cases = put(&world, rows(&trap.url()), None).await;
    let runs = cases.iter().enumerate().map(async |(number, case)| {
        is_told_without_a_token(case, &world, &history).await?;
        let cure = Cure::in_turn(&case.row, number);
        let from = history.all(case.name()).len();
        case.cure(&world, cure).await;
        case.check_cured(&world, &history, from, cure).await?;
        calls_were_few(case, &world, cure)
    });
    let results = join_all(runs).await;
    check_events(&cases, &world).await;
    trap.assert_untouched();
    world.assert_hidden(&keys(&cases)).await;
    assert_all_good(&cases, results);
}

async fn is_told_without_a_token(case: &Case, world: &World, history: &History) -> Result<(), String> {
    let what = format!("{} with reason {}", case.row.type_, case.row.reason);
    let seen = history.first(case.name(), 0, &what, |seen| case.is_told(seen, false)).await?;
    case.check(&seen)?;
    ensure(world.data(case.name()).await.is_none(), || "there is a target".to_owned())
}

/// The slow ones are not tried a second time; none is tried more than the back-off of half a minute allows.
fn calls_were_few(case: &Case, world: &World, cure: Cure) -> Result<(), String> {
    let calls = case.calls(world);
    let few = match (case.row.soon, cure) {
        (true, _) => (1..=7).contains(&calls),
        (false, Cure::NewKey) => calls == 1,
        (false, _) => calls == 2,
    };
    ensure(few, || format!("{calls} calls"))
}

async fn check_events(cases: &[Case], world: &World) {
    let events = world.events().await;
    for case in cases {
        let told = events.iter().any(|event| {
            let name = event.regarding.as_ref().and_then(|regarding| regarding.name.as_deref());
            let right = event.reason.as_deref() == Some(case.row.reason) && event.type_.as_deref() == Some("Warning");
            name == Some(case.name()) && right
        });
        assert!(told, "{}: no warning with reason {}", case.name(), case.row.reason);
    }
}

#[tokio::test]
async fn with_a_token_in_place_it_is_kept_until_it_expires() {
    let trap = Trap::set();
    let world = with_an_endpoint_each(rows(&trap.url()).len()).await;
    let history = History::of(&world).await;
    let cases = put(&world, rows(&trap.url()), Some(Fault::lifetime(LIFETIME))).await;
    let runs = cases.iter().enumerate().map(async |(number, case)| {
        lives_on_until_expiry(case, &world, &history).await?;
        let cure = if case.row.fixed || number % 2 == 0 { Cure::NewKey } else { Cure::Requested };
        let from = history.all(case.name()).len();
        case.cure(&world, cure).await;
        case.check_cured(&world, &history, from, cure).await
    });
    let results = join_all(runs).await;
    trap.assert_untouched();
    world.assert_hidden(&keys(&cases)).await;
    assert_all_good(&cases, results);
}

async fn lives_on_until_expiry(case: &Case, world: &World, history: &History) -> Result<(), String> {
    let good = history.ready(case.name(), 0).await?;
    let told = history.first(case.name(), 0, "Ready though failing", |seen| case.is_told(seen, true)).await?;
    case.check(&told)?;
    let dead = history.first(case.name(), 0, "expired", |seen| seen.at > good.at && !seen.is_ready()).await?;
    ensure(case.is_told(&dead, false), || format!("at expiry: {}", dead.in_short()))?;
    case.check(&dead)?;
    check_moment(&good, &dead)?;
    check_quiet(case, world, history)?;
    is_untouched_since(&good, case, world).await
}

async fn is_untouched_since(good: &Seen, case: &Case, world: &World) -> Result<(), String> {
    let secret = world.secrets().get(case.name()).await.map_err(|error| error.to_string())?;
    let writes = secret.metadata.managed_fields.iter().flatten();
    let last = writes.filter_map(|write| write.time.as_ref()).map(|time| time.0).max().ok_or("no time of a write")?;
    ensure(last <= good.at, || format!("the target was written {:#} later", last.duration_since(good.at)))?;
    let data = world.data(case.name()).await.ok_or("no target")?;
    let end = good.status.expires_at.as_ref().map(|time| time.0.as_second().to_string());
    ensure(data["expiration"].as_str() == end.as_deref(), || "the target holds another token".to_owned())
}

/// Not before the token's end, and at most [`DOUBT`] after it.
fn check_moment(good: &Seen, dead: &Seen) -> Result<(), String> {
    let end = good.status.expires_at.as_ref().ok_or("no expiresAt")?.0;
    ensure(dead.status.expires_at == good.status.expires_at, || "expiresAt has changed".to_owned())?;
    let turned = dead.ready().map(|ready| ready.last_transition_time.0).ok_or("no Ready")?;
    let late = turned.duration_since(end);
    ensure(dead.at >= end && !late.is_negative() && late <= DOUBT, || format!("{late:#} after expiry"))?;
    let seen_late = dead.at.duration_since(end);
    ensure(seen_late <= DOUBT * 2, || format!("shown {seen_late:#} after expiry"))
}

/// Neither IAM nor the API server is bothered more than the back-off allows.
fn check_quiet(case: &Case, world: &World, history: &History) -> Result<(), String> {
    let (calls, statuses) = (case.calls(world), history.all(case.name()).len());
    let most = if case.row.soon { 14 } else { 2 };
    ensure(calls <= most, || format!("{calls} calls"))?;
    ensure(statuses <= 6, || format!("{statuses} statuses"))
}

async fn put(world: &World, rows: Vec<Row>, before: Option<Fault>) -> Vec<Case> {
    let mut cases = vec![];
    for (row, endpoint) in rows.into_iter().zip(world.iam.urls()) {
        cases.push(Case::put(world, row, before.clone(), &endpoint).await);
    }
    cases
}

/// One endpoint for each row: an endpoint that fails for several is asked by one at a time.
async fn with_an_endpoint_each(rows: usize) -> World {
    let iam = FakeIam::builder().more_endpoints(rows - 1).start().unwrap();
    let endpoints = iam.urls();
    World::start_towards(iam, &endpoints, "info").await
}

fn keys(cases: &[Case]) -> Vec<String> {
    cases.iter().flat_map(|case| [case.key.clone(), case.new_key.clone()]).collect()
}

#[tokio::test]
async fn a_token_that_would_die_sooner_does_not_replace_a_better_one() {
    let world = World::start().await;
    let history = History::of(&world).await;
    let row = shorter_lived();
    let case = Case::put(&world, row, Some(Fault::lifetime(3600)), &world.iam.url()).await;
    history.ready(case.name(), 0).await.unwrap();
    let data = world.data(case.name()).await.unwrap();
    tokio::time::sleep(ANOTHER_SECOND).await;
    world.annotate(case.name(), REFRESH_REQUESTED, "first").await;
    let told = history.first(case.name(), 0, "RefreshFailing", |seen| case.is_told(seen, true)).await.unwrap();
    case.check(&told).unwrap();
    assert_eq!(world.data(case.name()).await.unwrap(), data);
    let from = history.all(case.name()).len();
    case.cure(&world, Cure::Requested).await;
    case.check_cured(&world, &history, from, Cure::Requested).await.unwrap();
}
