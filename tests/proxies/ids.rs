//! nginx with a path in `proxy_pass` decodes `%2F` and resolves dots.

use idpflare_management::*;
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::nginx::{Nginx, Site};
use crate::upstream::Upstream;

fn with_prefix(upstream: &Upstream) -> Nginx {
    Nginx::start(&Site {
        server: "location /idp/ { proxy_pass http://fake/; }".to_owned(),
        ..Site::of(upstream.port())
    })
}

fn client(nginx: &Nginx, upstream: &Upstream) -> Client {
    let authority = format!("{}/idp", nginx.authority());
    let client = Client::builder(authority).api_key(upstream.key()).build();
    client.expect("a client")
}

pub(crate) async fn an_id_that_this_nginx_makes_another_operation_of_is_not_sent() {
    let upstream = Upstream::start().await;
    let nginx = with_prefix(&upstream);
    let client = client(&nginx, &upstream);
    let victim = CreateUser::new("victim@example.com");
    let victim = upstream.fake.client().send(victim).await.expect("a user");
    let parent = format!("../../{}", victim.id);
    for (encoded, id, operation) in [
        (
            format!("usr_1/sessions/..%2F..%2F{}", victim.id),
            &*parent,
            Some("deleteUser"),
        ),
        ("usr_1%2Fmfa".to_owned(), "usr_1/mfa", Some("resetUserMfa")),
        ("usr_1/sessions/%2E%2E".to_owned(), "..", None),
    ] {
        upstream.requests();
        // The request that percent-encoding alone makes of the id.
        let path = format!("/idp/api/v1/users/{encoded}");
        delete(&nginx, &path, &upstream.key()).await;
        let [entry] = &upstream.requests()[..] else {
            panic!("one request of {path}");
        };
        let performed = entry.operation.map(|operation| operation.id);
        assert_eq!(performed, operation, "{path} became {entry}");

        for outcome in [
            client
                .send(RevokeUserSession::new("usr_1", id))
                .await
                .map(drop),
            client.send(DeleteUser::new(id)).await.map(drop),
        ] {
            let error = outcome.expect_err("refused");
            assert_eq!(error.kind(), ErrorKind::Encode, "{error}");
        }
        assert_eq!(upstream.requests(), [], "{id}");
    }
    let gone = upstream.fake.client().send(GetUser::new(&victim.id)).await;
    assert_eq!(gone.expect_err("deleted").message(), "User not found");
}

pub(crate) async fn every_other_id_arrives_as_it_is() {
    let upstream = Upstream::start().await;
    let nginx = with_prefix(&upstream);
    let client = client(&nginx, &upstream);
    for id in [
        "usr_1",
        "auth0|123",
        "100%",
        "a%20b",
        "user@host",
        "a;b",
        "...",
        "é~+&=\"<>",
    ] {
        let error = client
            .send(GetUser::new(id))
            .await
            .expect_err("there is none");
        assert_eq!(error.message(), "User not found", "{id}");
        let [entry] = &upstream.requests()[..] else {
            panic!("one request of {id}");
        };
        let segment = entry.path.strip_prefix("/api/v1/users/").expect("a user");
        let arrived = percent_decode_str(segment).decode_utf8().expect("text");
        assert_eq!(arrived, id);
    }
}

/// Sends a request as it stands, and returns when there is a reply.
async fn delete(nginx: &Nginx, path: &str, key: &str) {
    let mut stream = TcpStream::connect(("127.0.0.1", nginx.port()))
        .await
        .expect("it listens");
    let request = format!(
        "DELETE {path} HTTP/1.1\r\nHost: idp.test\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("sent");
    stream.read_to_end(&mut Vec::new()).await.expect("a reply");
}
