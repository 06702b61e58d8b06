//! `portcullis healthcheck`

use clap::Args;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;

use super::client::ClientArgs;
use super::exit::{Error, Exit};
use super::output::{Format, Out, write_stdout};

/// Whose health to ask for.
#[derive(Args, Debug)]
pub struct HealthcheckArgs {
    #[command(flatten)]
    client: ClientArgs,
    /// readiness: it can answer; liveness: it need not be restarted; or the full name of a gRPC service
    #[arg(long, value_name = "NAME", default_value = "readiness")]
    service: String,
}

/// Asks; the exit code is the answer.
pub async fn run(args: HealthcheckArgs) -> Result<Exit, Error> {
    let mut health = args.client.connect_without_root_key().await?.health();
    let answer = health.check(HealthCheckRequest { service: args.service }).await?.into_inner();
    let Out { format, quiet } = args.client.out();
    let status = answer.status().as_str_name();
    let text = match format {
        _ if quiet => String::new(),
        Format::Table => format!("{status}\n"),
        Format::Json => format!("{{\n  \"status\": \"{status}\"\n}}\n"),
    };
    // A probe that reads nothing still wants the exit code.
    let _ = write_stdout(&text);
    Ok(if answer.status() == ServingStatus::Serving { Exit::Done } else { Exit::Denied })
}
