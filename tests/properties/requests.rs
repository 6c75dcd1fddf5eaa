//! Requests of whatever operation.

use idpflare_management::ApiRequest;
use serde::de::DeserializeOwned;
use serde_json::json;

/// A request with these ids in the holes of its path, and as little as may be of the rest.
pub(crate) fn request_with<R: ApiRequest + DeserializeOwned>(ids: [&str; 2]) -> R {
    let mut arguments =
        json!({"email": "a@b.c", "password": "p", "name": "n", "redirect_uris": []});
    let template = R::OPERATION.path_template;
    let holes = template.split(['{', '}']).skip(1).step_by(2);
    for (hole, id) in holes.zip(ids) {
        arguments[hole] = id.into();
    }
    serde_json::from_value(arguments).expect("arguments of the operation")
}
