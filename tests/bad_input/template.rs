//! Templates that are none, or that do not suit the token.

use serde_json::{Value, json};

use crate::checks::{calm, put_with_target, ready_at_once, spec_with_target, stalled_and_not_ready, stalled_but_ready};
use crate::cluster::lax_world;
use crate::harness::World;

fn target(template: &str) -> Value {
    json!({"data": [{"key": "token", "format": "AccessToken"}, {"key": "hpcs.env", "template": template}]})
}

#[tokio::test]
async fn a_template_that_is_none_is_told_with_its_line_and_costs_no_token() {
    let world = World::start().await;
    world.put_pair("hpcs").await;
    let data = world.ready("hpcs").await;
    let over = "{{ access_token }}".repeat(1000);
    let forever = "{% for a in access_token %}".repeat(5) + &"{% endfor %}".repeat(5);
    let each: [(&str, &[&str]); 6] = [
        ("TOKEN={{ access_token }}\nEXPIRES={{ expiration }\n", &["line 2", "syntax error"]),
        ("\n\nKEY={{ api_key }}\n", &["line 3", "no variable api_key"]),
        ("{% if claims %}", &["line 1", "syntax error"]),
        (&format!("\n{forever}"), &["line 2", "takes too long"]),
        (&format!("\n{over}"), &["line 2", "over 1 MiB"]),
        ("{{ 'x' * 1000000000 }}", &["line 1", "there is no *"]),
    ];
    for (template, words) in each {
        world.change_spec("hpcs", &json!({"target": target(template)})).await;
        let words = [&["spec.target.data[key hpcs.env]", "Correct the template"], words].concat();
        stalled_but_ready(&world, "hpcs", "TemplateInvalid", &words, ("hpcs", &data)).await;
    }
    calm(&world).await;
    put_with_target(&world, "new", &target("{{ access_token")).await;
    stalled_and_not_ready(&world, "new", "TemplateInvalid", &["spec.target.data[key hpcs.env], line 1"]).await;
    calm(&world).await;
    assert_eq!(world.iam.calls().len(), 1, "the first token of hpcs");
    for name in ["hpcs", "new"] {
        world.change_spec(name, &json!({"target": target("{{ expiration }}\n")})).await;
        ready_at_once(&world, name).await;
        let data = world.data(name).await.unwrap();
        assert!(data["hpcs.env"].as_str().unwrap().trim_end().parse::<u64>().is_ok(), "{name}");
    }
    assert_eq!(world.iam.calls().len(), 2, "the token of hpcs was still good");
}

#[tokio::test]
async fn a_template_that_does_not_suit_the_token_leaves_the_last_one_in_place() {
    let world = World::start().await;
    world.put_pair("hpcs").await;
    let data = world.ready("hpcs").await;
    world.change_spec("hpcs", &json!({"target": target("A={{ iam_id }}\nB={{ claims.mine }}\n")})).await;
    let words = ["spec.target.data[key hpcs.env]", "line 2", "does not have", "Correct the template"];
    stalled_but_ready(&world, "hpcs", "TemplateFailed", &words, ("hpcs", &data)).await;
    calm(&world).await;
    assert_eq!(world.iam.calls().len(), 1, "the token is there");
    put_with_target(&world, "new", &target("{{ claims.mine }}")).await;
    stalled_and_not_ready(&world, "new", "TemplateFailed", &words[..1]).await;
    calm(&world).await;
    assert_eq!(world.iam.calls().len(), 2, "one try is enough");
    for name in ["hpcs", "new"] {
        world.change_spec(name, &json!({"target": target("{{ claims.mine | default('none') }}")})).await;
        ready_at_once(&world, name).await;
        assert_eq!(world.data(name).await.unwrap()["hpcs.env"], "none", "{name}");
    }
}

/// What an older CRD lets through.
#[tokio::test]
async fn an_entry_with_both_or_neither_is_named_by_its_key() {
    let world = lax_world().await;
    for (name, entry) in [
        ("both", json!({"key": "hpcs.env", "format": "Json", "template": "x"})),
        ("neither", json!({"key": "hpcs.env"})),
    ] {
        put_with_target(&world, name, &json!({"data": [entry]})).await;
        let words = ["spec.target.data[key hpcs.env]", "exactly one of format and template"];
        stalled_and_not_ready(&world, name, "InvalidSpec", &words).await;
    }
    calm(&world).await;
    assert_eq!(world.iam.calls().len(), 0);
    for name in ["both", "neither"] {
        world.change_spec(name, &spec_with_target(name, &target("x"))).await;
        ready_at_once(&world, name).await;
    }
}
