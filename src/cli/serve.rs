//! `scim serve`: the whole service on this machine.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::Failure;
use super::demo::Demo;
use super::local::{DEFAULT_DATA, Local};
use super::rules::RuleArguments;
use crate::http::server::{self, Patience};
use crate::http::{self, PublicUrl, Service};
use crate::protocol::error;

/// How long requests that are running at the end may take.
pub(super) const GRACE: Duration = Duration::from_secs(5);
/// How often half-done changes are looked for.
const FINISH_INTERVAL: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Listen on this address and port; port 0 picks a free one
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:9000")]
    listen: String,
    /// Keep the data in this directory, or `:memory:`
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DATA)]
    data: PathBuf,
    /// Print one line of JSON when ready, instead of text for people
    #[arg(long)]
    json: bool,
    /// Where clients reach this server, if not at the address it listens on
    #[arg(long, value_name = "URL", value_parser = public_url)]
    public_url: Option<PublicUrl>,
    #[command(flatten)]
    rules: RuleArguments,
}

impl Serve {
    /// Serves until the process is told to end.
    pub(super) async fn run(self) -> Result<(), Failure> {
        self.rules.check()?;
        let listener = listen(&self.listen).await?;
        let address = listener
            .local_addr()
            .map_err(|error| cannot_listen(&self.listen, &error))?;
        let public_url = match &self.public_url {
            Some(url) => url.clone(),
            None => PublicUrl::parse(&format!("http://{address}"))?,
        };
        let announced = public_url.clone();
        let local = Local::open(&self.data, Some(public_url)).await?;
        let demo = Demo::prepare(&local, &self.rules).await?;
        let service = local.stack.service()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let router = http::router(Arc::clone(&service));
        let stopped = async {
            // A dropped sender means the same as a message.
            let _ = stopped.await;
        };
        let patience = Patience::default();
        let serving = tokio::spawn(server::serve(listener, router, patience, stopped));
        self.announce(&announced, &demo, &local);
        tokio::select! {
            () = told_to_end() => {}
            () = finish_regularly(&local, &service) => {}
        }
        drop(stop);
        // A client that keeps a request open does not keep the process.
        let _ = tokio::time::timeout(GRACE, serving).await;
        Ok(())
    }

    fn announce(&self, public_url: &PublicUrl, demo: &Demo, local: &Local) {
        let Demo { tenant, token } = demo;
        let text = if self.json {
            let ready = json!({
                "baseUrl": public_url.base_url(),
                "v1BaseUrl": public_url.v1_base_url(),
                "tenant": tenant.as_str(),
                "token": token,
            });
            format!("{ready}\n")
        } else {
            for_people(public_url, demo, &local.data.to_string())
        };
        print(&text);
    }
}

/// Finishes, now and every minute, what a process that died left half done. It has no end.
async fn finish_regularly(local: &Local, service: &Service) {
    let mut ticks = tokio::time::interval(FINISH_INTERVAL);
    loop {
        ticks.tick().await;
        if let Err(error) = finish(local, service).await {
            tracing::warn!(%error, cause = error.causes(), "could not finish what was left half done");
        }
    }
}

async fn finish(local: &Local, service: &Service) -> error::Result<()> {
    let mut failed = Ok(());
    for tenant in local.stack.issuer().tenants().await? {
        match service.provider.finish(&tenant).await {
            Ok(0) => {}
            Ok(finished) => {
                tracing::info!(tenant.id = %tenant, finished, "finished {finished} half-done changes");
            }
            // The other tenants do not wait for this one.
            Err(error) => failed = Err(error),
        }
    }
    failed
}

/// Listens, or says in one line why not.
pub(super) async fn listen(address: &str) -> Result<TcpListener, Failure> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| cannot_listen(address, &error))
}

/// Prints an answer. A reader that has gone away ends nothing.
pub(super) fn print(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Waits for Ctrl-C or, where there are signals, SIGTERM.
pub(super) async fn told_to_end() {
    let interrupted = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminated) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = interrupted => {}
                _ = terminated.recv() => {}
            }
            return;
        }
    }
    let _ = interrupted.await;
}

fn cannot_listen(address: &str, error: &io::Error) -> Failure {
    Failure(format!("Cannot listen on {address}: {error}"))
}

fn for_people(public_url: &PublicUrl, demo: &Demo, data: &str) -> String {
    let (base_url, v1_base_url) = (public_url.base_url(), public_url.v1_base_url());
    let Demo { tenant, token } = demo;
    let authorization = format!("-H 'Authorization: Bearer {token}'");
    format!(
        r#"
  SCIM base URL  {base_url}
  SCIM 1.1       {v1_base_url}
  Tenant         {tenant}
  Token          {token}
  Data           {data}

  Try it:
    curl {authorization} {base_url}/ServiceProviderConfig
    curl {authorization} -H 'Content-Type: application/scim+json' -d '{{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"ada@example.com"}}' {base_url}/Users
    curl {authorization} -G --data-urlencode 'filter=userName eq "ada@example.com"' {base_url}/Users

  Ctrl-C ends it.

"#
    )
}

fn public_url(text: &str) -> Result<PublicUrl, String> {
    PublicUrl::parse(text).map_err(|error| error.detail().to_owned())
}
