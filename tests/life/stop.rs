//! The end of a process.

use std::process::Command;
use std::time::Duration;

use testkit::fake_iam::{Fault, Times};

use crate::harness::{World, eventually};

fn terminate(world: &World) {
    assert!(Command::new("kill").arg(world.operator.pid().to_string()).status().unwrap().success());
}

async fn exit_code(world: &mut World) -> i32 {
    eventually("the operator ended", async || world.operator.exit_code().ok_or(())).await
}

#[tokio::test]
async fn sigterm_finishes_what_is_in_flight() {
    let mut world = World::start().await;
    world.iam.fault_any(Fault::delay(Duration::from_secs(2)), Times::Forever);
    let key = world.put_pair("hpcs").await;
    eventually("an exchange under way", async || if world.iam.most_at_once_of(&key) > 0 { Ok(()) } else { Err(()) })
        .await;
    terminate(&world);
    assert_eq!(exit_code(&mut world).await, 0);
    let data = world.data("hpcs").await.expect("the token that was in flight");
    world.iam.verify(data["token"].as_str().unwrap()).unwrap();
}

#[tokio::test]
async fn a_second_sigterm_ends_at_once() {
    let mut world = World::start().await;
    world.iam.fault_any(Fault::Hang, Times::Forever);
    let key = world.put_pair("hpcs").await;
    eventually("an exchange under way", async || if world.iam.most_at_once_of(&key) > 0 { Ok(()) } else { Err(()) })
        .await;
    terminate(&world);
    eventually("the first one heard", async || {
        if world.operator.log().contains("stopping") { Ok(()) } else { Err(world.operator.log()) }
    })
    .await;
    terminate(&world);
    assert_ne!(exit_code(&mut world).await, 0);
}
