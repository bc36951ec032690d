use kube::Resource;
use kube::api::ObjectMeta;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::{
    ClusterIamCredential, ClusterIamCredentialSpec, ClusterIamCredentialStatus, IamToken, IamTokenSpec, IamTokenStatus,
};

/// An `IamToken` as the API server lists it. One that does not decode, which an older CRD may have let in, does not hold
/// up the others: its metadata and status can still be used.
#[derive(Resource, Serialize, Deserialize, Clone, Debug)]
#[resource(inherit = "IamToken")]
pub struct Listed {
    /// Always there.
    pub metadata: ObjectMeta,
    /// `None` where it does not decode.
    #[serde(default, deserialize_with = "if_it_decodes")]
    pub spec: Option<IamTokenSpec>,
    /// `None` where there is none yet, or it does not decode.
    #[serde(default, deserialize_with = "if_it_decodes")]
    pub status: Option<IamTokenStatus>,
}

/// A `ClusterIamCredential` as the API server lists it: the same.
#[derive(Resource, Serialize, Deserialize, Clone, Debug)]
#[resource(inherit = "ClusterIamCredential")]
pub struct ListedCredential {
    /// Always there.
    pub metadata: ObjectMeta,
    /// `None` where it does not decode.
    #[serde(default, deserialize_with = "if_it_decodes")]
    pub spec: Option<ClusterIamCredentialSpec>,
    /// `None` where there is none yet, or it does not decode.
    #[serde(default, deserialize_with = "if_it_decodes")]
    pub status: Option<ClusterIamCredentialStatus>,
}

fn if_it_decodes<'de, T: DeserializeOwned, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(value.is_object().then(|| T::deserialize(value).ok()).flatten())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_spec_that_does_not_decode_spoils_nothing_else() {
        let object =
            json!({"metadata": {"name": "t"}, "spec": {"suspend": "yes"}, "status": {"observedGeneration": 3}});
        let listed: Listed = serde_json::from_value(object).unwrap();
        assert_eq!(listed.spec, None);
        assert_eq!(listed.status.unwrap().observed_generation, Some(3));
        assert_eq!(listed.metadata.name.as_deref(), Some("t"));
    }

    #[test]
    fn a_good_one_is_whole() {
        let object = json!({"metadata": {"name": "t"}, "spec": {"apiKeySecretRef": {"name": "k"}}});
        let listed: Listed = serde_json::from_value(object).unwrap();
        assert_eq!(listed.spec.unwrap().api_key_secret_ref.unwrap().name, "k");
        assert_eq!(listed.status, None);
    }
}
