//! What the guard adds to a call: the bare stub over tonic's own channel, this client's stub, and the guard before a
//! service that does nothing, by turns. `bench` runs it.

use std::convert::Infallible;
use std::env;
use std::error::Error;
use std::time::{Duration, Instant};

use http::{Request, Response};
use portcullis_client::Client;
use portcullis_client::guard::{HttpGuard, Rule};
use portcullis_client::pb::VerifyRequest;
use portcullis_client::pb::verification_service_client::VerificationServiceClient;
use tonic::transport::Endpoint;
use tower::{Layer as _, Service as _, service_fn};

const ROUNDS: usize = 400;
const CALLS_PER_ROUND: usize = 25;
const SCOPE: &str = "orders:read";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let variable = |name: &str| env::var(name).map_err(|_| format!("{name} is not set"));
    let key = variable("PORTCULLIS_BENCH_KEY")?;
    let bearer = format!("Bearer {}", variable("PORTCULLIS_ROOT_KEY")?);

    let channel = Endpoint::from_shared(variable("PORTCULLIS_SERVER")?)?.connect().await?;
    let mut bare = VerificationServiceClient::new(channel);
    let client = Client::builder().build()?;
    let mut stub = client.verification();
    let route = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(String::new())) });
    let mut guarded = HttpGuard::new(&client, Rule::new("default").scopes([SCOPE])).layer(route);
    let asked = || VerifyRequest {
        key: key.clone(),
        required_scopes: vec![SCOPE.to_owned()],
        client_ip: "127.0.0.1".to_owned(),
        ..VerifyRequest::default()
    };

    let (mut of_bare, mut of_stub, mut of_guard) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        for _ in 0..CALLS_PER_ROUND {
            let start = Instant::now();
            let mut request = tonic::Request::new(asked());
            request.metadata_mut().insert("authorization", bearer.parse()?);
            request.set_timeout(Duration::from_secs(1));
            assert!(bare.verify(request).await?.into_inner().valid);
            of_bare.push(start.elapsed());
        }
        for _ in 0..CALLS_PER_ROUND {
            let start = Instant::now();
            assert!(stub.verify(asked()).await?.into_inner().valid);
            of_stub.push(start.elapsed());
        }
        for _ in 0..CALLS_PER_ROUND {
            let request = Request::builder().header("authorization", format!("Bearer {key}")).body(())?;
            let start = Instant::now();
            assert!(guarded.call(request).await?.status().is_success());
            of_guard.push(start.elapsed());
        }
    }

    let [bare, stub, guard] = [of_bare, of_stub, of_guard].map(median);
    println!("bare stub     {bare:8.1} µs");
    println!("client's stub {stub:8.1} µs");
    println!("guard         {guard:8.1} µs");
    println!("guard / bare stub     {:.3}", guard / bare);
    println!("guard / client's stub {:.3}", guard / stub);
    Ok(())
}

/// In microseconds.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e6
}
