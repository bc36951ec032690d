//! The keys and certificates of one control plane. ECDSA P-256 throughout.

use base64::{Engine, prelude::BASE64_STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData, SigningKey,
};
use yasna::{DERWriter, Tag, models::ObjectIdentifier, tags};

use super::Error;

const CA_NAME: &str = "control-plane-ca";
const COMMON_NAME: &[u64] = &[2, 5, 4, 3];
const ORGANIZATION: &[u64] = &[2, 5, 4, 10];
const ECDSA_WITH_SHA256: &[u64] = &[1, 2, 840, 10045, 4, 3, 2];
const EXTENDED_KEY_USAGE: &[u64] = &[2, 5, 29, 37];
const CLIENT_AUTH: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 3, 2];
/// From 2000 to the end of 2049: the validity of what lives for minutes is not the point here.
const VALIDITY: [&[u8]; 2] = [b"000101000000Z", b"491231235959Z"];

/// A certificate and its private key, both as PEM.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    pub(super) certificate: String,
    pub(super) key: String,
}

/// A certificate authority that lives as long as its control plane.
#[derive(Debug)]
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: Vec<u8>,
}

impl Authority {
    pub(super) fn new() -> Result<Self, Error> {
        let mut params = named(CA_NAME, &[])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        Ok(Self { pem: certificate.pem(), der: certificate.der().to_vec(), issuer: Issuer::new(params, key) })
    }

    /// The authority's own certificate, as PEM.
    pub(super) fn pem(&self) -> &str {
        &self.pem
    }

    /// The authority's own certificate, as DER.
    pub(super) fn der(&self) -> &[u8] {
        &self.der
    }

    /// For a server that is reached under `names`, which may be IP addresses.
    pub(super) fn server(&self, names: &[&str]) -> Result<Pair, Error> {
        let mut params = named("kube-apiserver", names)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Pair { certificate: certificate.pem(), key: key.serialize_pem() })
    }

    /// For the Kubernetes user `user`, who is in `groups`.
    ///
    /// Written by hand: a group is an organization, and rcgen's names hold only one of those.
    pub(super) fn client(&self, user: &str, groups: &[&str]) -> Result<Pair, Error> {
        let key = KeyPair::generate()?;
        let body = client_certificate_body(user, groups, &key);
        let signature = self.issuer.key().sign(&body)?;
        let certificate = yasna::construct_der(|writer| {
            writer.write_sequence(|fields| {
                fields.next().write_der(&body);
                write_signature_algorithm(fields.next());
                fields.next().write_bitvec_bytes(&signature, signature.len() * 8);
            });
        });
        Ok(Pair { certificate: to_pem("CERTIFICATE", &certificate), key: key.serialize_pem() })
    }
}

/// The private key that signs the tokens of ServiceAccounts and the public key that verifies them, both as PEM.
pub(super) fn token_keys() -> Result<(String, String), Error> {
    let key = KeyPair::generate()?;
    Ok((key.serialize_pem(), key.public_key_pem()))
}

fn named(common_name: &str, names: &[&str]) -> Result<CertificateParams, Error> {
    let names: Vec<_> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    Ok(params)
}

/// What of a client's certificate is signed: the TBSCertificate of RFC 5280.
fn client_certificate_body(user: &str, groups: &[&str], key: &KeyPair) -> Vec<u8> {
    let mut subject: Vec<_> = groups.iter().map(|group| (ORGANIZATION, *group)).collect();
    subject.push((COMMON_NAME, user));
    yasna::construct_der(|writer| {
        writer.write_sequence(|fields| {
            fields.next().write_tagged(Tag::context(0), |version| version.write_u8(2));
            fields.next().write_bigint_bytes(&serial_number(key), true);
            write_signature_algorithm(fields.next());
            write_name(fields.next(), &[(COMMON_NAME, CA_NAME)]);
            fields.next().write_sequence(|times| {
                for time in VALIDITY {
                    times.next().write_tagged_implicit(tags::TAG_UTCTIME, |time_writer| time_writer.write_bytes(time));
                }
            });
            write_name(fields.next(), &subject);
            fields.next().write_der(&key.subject_public_key_info());
            fields.next().write_tagged(Tag::context(3), write_client_extensions);
        });
    })
}

/// Some bytes of the public key: unique per certificate, and positive.
fn serial_number(key: &KeyPair) -> Vec<u8> {
    let mut serial = key.public_key_raw()[1..17].to_vec();
    serial[0] = serial[0] & 0x7f | 0x40;
    serial
}

fn write_client_extensions(writer: DERWriter<'_>) {
    let usage = yasna::construct_der(|usage| {
        usage.write_sequence(|usages| write_oid(usages.next(), CLIENT_AUTH));
    });
    writer.write_sequence(|extensions| {
        extensions.next().write_sequence(|extension| {
            write_oid(extension.next(), EXTENDED_KEY_USAGE);
            extension.next().write_bytes(&usage);
        });
    });
}

fn write_signature_algorithm(writer: DERWriter<'_>) {
    writer.write_sequence(|algorithm| write_oid(algorithm.next(), ECDSA_WITH_SHA256));
}

fn write_name(writer: DERWriter<'_>, attributes: &[(&[u64], &str)]) {
    writer.write_sequence(|name| {
        for (kind, value) in attributes {
            name.next().write_set(|set| {
                set.next().write_sequence(|attribute| {
                    write_oid(attribute.next(), kind);
                    attribute.next().write_utf8_string(value);
                });
            });
        }
    });
}

fn write_oid(writer: DERWriter<'_>, components: &[u64]) {
    writer.write_oid(&ObjectIdentifier::from_slice(components));
}

fn to_pem(label: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    for (index, character) in text.chars().enumerate() {
        if index > 0 && index % 64 == 0 {
            pem.push('\n');
        }
        pem.push(character);
    }
    pem + &format!("\n-----END {label}-----\n")
}
