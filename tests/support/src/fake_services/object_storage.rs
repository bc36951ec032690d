//! IBM Cloud Object Storage: lists buckets, puts and gets objects.
//!
//! `Authorization` is required for all requests, `ibm-service-instance-id` to list buckets (IBM Cloud docs,
//! cloud-object-storage: "Common headers and error codes", "Bucket operations"). A token that has expired, none, and one
//! without the right all get 403 `AccessDenied`, in the form that users have posted (ibm-cloud-docs/cloud-object-storage,
//! issue 83; IBM/ibm-cos-sdk-js, issue 7). What a missing instance gets is not documented; the fake takes 400.

use std::collections::HashMap;
use std::sync::Mutex;

use hyper::body::Bytes;
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Response, StatusCode};

use super::{Claims, Whole, lock};
use crate::fake_iam::server::Body;
use crate::fake_iam::{full_body, set_header};

/// The instance that there is.
pub const STORAGE_INSTANCE: &str = "fa4e0000-0000-4000-8000-000000000002";

/// Its bucket.
pub const BUCKET: &str = "payments-reports";

/// The objects of the bucket.
#[derive(Default)]
pub(super) struct Storage {
    objects: Mutex<HashMap<String, Bytes>>,
}

impl Storage {
    pub(super) fn answer(&self, request: &Whole, claims: &Claims) -> Response<Body> {
        let resource = &request.path;
        if claims.is_err() {
            return error(StatusCode::FORBIDDEN, "AccessDenied", "Access Denied", resource);
        }
        let (bucket, key) = resource.trim_start_matches('/').split_once('/').unwrap_or((resource, ""));
        match request.method {
            Method::GET if resource == "/" => list_buckets(request),
            Method::GET | Method::PUT if bucket != BUCKET => {
                error(StatusCode::NOT_FOUND, "NoSuchBucket", "The specified bucket does not exist.", resource)
            }
            Method::PUT if !key.is_empty() => {
                lock(&self.objects).insert(key.to_owned(), request.body.clone());
                Response::new(full_body(""))
            }
            Method::GET if !key.is_empty() => match lock(&self.objects).get(key) {
                Some(object) => Response::new(full_body(object.clone())),
                None => error(StatusCode::NOT_FOUND, "NoSuchKey", "The specified key does not exist.", resource),
            },
            _ => error(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", "Not among the fake's methods", resource),
        }
    }
}

fn list_buckets(request: &Whole) -> Response<Body> {
    let instance = request.headers.get("ibm-service-instance-id").and_then(|id| id.to_str().ok());
    if instance != Some(STORAGE_INSTANCE) {
        return error(StatusCode::BAD_REQUEST, "InvalidArgument", "Invalid Argument", "/");
    }
    let body = format!(
        "<ListAllMyBucketsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
         <Owner><ID>{STORAGE_INSTANCE}</ID><DisplayName>{STORAGE_INSTANCE}</DisplayName></Owner>\
         <Buckets><Bucket><Name>{BUCKET}</Name><CreationDate>2026-01-01T00:00:00.000Z</CreationDate></Bucket></Buckets>\
         </ListAllMyBucketsResult>"
    );
    xml(StatusCode::OK, &body)
}

fn error(status: StatusCode, code: &str, message: &str, resource: &str) -> Response<Body> {
    let number = status.as_u16();
    let body = format!(
        "<Error><Code>{code}</Code><Message>{message}</Message><Resource>{resource}</Resource>\
         <RequestId>fa4e0000-0000-4000-8000-00000000000b</RequestId><httpStatusCode>{number}</httpStatusCode></Error>"
    );
    xml(status, &body)
}

fn xml(status: StatusCode, body: &str) -> Response<Body> {
    let body = format!("<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>{body}");
    let mut response = Response::new(full_body(body));
    *response.status_mut() = status;
    set_header(&mut response, CONTENT_TYPE, "application/xml");
    response
}
