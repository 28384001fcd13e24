//! `scim serve`: the whole service on this machine.

use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::CommandError;
use super::background;
use super::demo::Demo;
use super::docs;
use super::external::{self, External, TablePlace};
use super::invoke::AdminPath;
use super::local::{DEFAULT_DATA, DEFAULT_LISTEN, Local};
use super::opened::Opened;
use super::rules::RuleArgs;
use super::serve_webhook::{self, ServedWebhook};
use super::terminal::print;
use crate::aws::Login;
use crate::http::server::{self, Timeouts};
use crate::http::{self, PublicUrl};
use crate::protocol::error;

/// How long a request beyond a tenant's `requestsPerSecond` waits for the next ones.
const LONGEST_WAIT: Duration = Duration::from_millis(250);
/// The time that running requests get when the server ends.
pub(super) const GRACE: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Listen on this address and port; port 0 picks a free one
    #[arg(long, value_name = "ADDR:PORT", default_value = DEFAULT_LISTEN)]
    listen: String,
    /// Keep the data in this directory, or `:memory:`; with --table, the secrets only [default:
    /// .scim]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Serve this DynamoDB table instead of the embedded one; it is created if it is missing
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    /// Reach the table at this DynamoDB endpoint instead of the one that the AWS settings name
    #[arg(long, value_name = "URL", requires = "table", value_parser = external::endpoint)]
    endpoint: Option<String>,
    /// Print one line of JSON when ready, instead of text for people
    #[arg(long)]
    json: bool,
    /// The URL at which clients reach this server, if it is not the address it listens on
    #[arg(long, value_name = "URL", value_parser = public_url)]
    public_url: Option<PublicUrl>,
    /// Send the events of every tenant to this URL, also with http to this machine; may be repeated
    #[arg(long = "webhook", value_name = "URL")]
    webhooks: Vec<String>,
    #[command(flatten)]
    rules: RuleArgs,
}

impl ServeArgs {
    /// Serves until the process gets a signal to end.
    pub(super) async fn run(self) -> Result<(), CommandError> {
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
        let deployment = self.open(public_url).await?;
        let stack = deployment.stack();
        let demo = match deployment.is_local() {
            true => Some(Demo::prepare(stack, &self.rules).await?),
            false => None,
        };
        let webhooks = serve_webhook::prepare(&deployment, &self.webhooks).await?;
        let mut service = stack.service();
        // No other part has the service yet.
        if let Some(service) = Arc::get_mut(&mut service) {
            service.rates.wait_up_to(LONGEST_WAIT);
        }
        let (stop, stopped) = oneshot::channel::<()>();
        let admin = AdminPath::of(&deployment, address)?;
        let router = http::router(Arc::clone(&service));
        let router = match &admin {
            Some(path) => path.serve(deployment.admin(Arc::clone(&service.provider)), router),
            None => router,
        };
        let stopped = async {
            // A dropped sender ends the server like a message would.
            let _ = stopped.await;
        };
        let timeouts = Timeouts::default();
        let serving = tokio::spawn(server::serve(listener, router, timeouts, stopped));
        let ready = Ready {
            public_url: &announced,
            demo: demo.as_ref(),
            admin: admin.as_ref(),
            webhooks: &webhooks,
            data: deployment.to_string(),
            docs: service.docs.as_ref().map(|_| announced.docs_url()),
        };
        print(&match self.json {
            true => ready.for_scripts(),
            false => ready.for_people(),
        })?;
        tokio::select! {
            () = end_signal() => {}
            () = background::run(&deployment, &service) => {}
        }
        drop(stop);
        // A client that keeps a request open does not keep the process running.
        let _ = tokio::time::timeout(GRACE, serving).await;
        Ok(())
    }

    /// Opens the deployment to serve.
    async fn open(&self, public_url: PublicUrl) -> Result<Opened, CommandError> {
        let default = Path::new(DEFAULT_DATA);
        let data = self.data.as_deref().unwrap_or(default);
        let Some(table) = &self.table else {
            note_unused_endpoint();
            let local = Local::open(data, Some(public_url)).await?;
            return Ok(Opened::Local(Box::new(local)));
        };
        let place = TablePlace {
            endpoint: self.endpoint.as_deref(),
            login: &Login::default(),
        };
        let is_deployed = self.data.is_none() && env::var_os("SCIM_STACK").is_some();
        if !is_deployed {
            let external = External::with_data(table, &place, data, Some(public_url)).await?;
            note_unread_stream(table);
            return Ok(Opened::External(Box::new(external)));
        }
        if !self.rules.is_empty() {
            let text = "--rules and --set change the demo tenant, which this deployment does not have; \
                        change its tenants with scim tenant set";
            return Err(CommandError::new(text));
        }
        let mut config = external::config(None, Some(table))?;
        config.public_url = Some(public_url);
        config.docs = docs::folder();
        let external = External::deployed(config, &place).await?;
        // A wrong name is reported now, and not in the answer to each request.
        let found = external.stack.store.warm_up().await;
        found.map_err(error::Error::from)?;
        note_unread_stream(table);
        Ok(Opened::External(Box::new(external)))
    }
}

/// What is printed when the server is ready.
struct Ready<'r> {
    public_url: &'r PublicUrl,
    demo: Option<&'r Demo>,
    admin: Option<&'r AdminPath>,
    webhooks: &'r [ServedWebhook],
    data: String,
    docs: Option<String>,
}

impl Ready<'_> {
    /// One line of JSON.
    fn for_scripts(&self) -> String {
        let ready = json!({
            "baseUrl": self.public_url.base_url(),
            "v1BaseUrl": self.public_url.v1_base_url(),
            "tenant": self.demo.map(|demo| demo.tenant.as_str()),
            "token": self.demo.map(|demo| &demo.token),
            "admin": self.admin,
            "webhooks": self.webhooks,
            "docs": self.docs,
        });
        format!("{ready}\n")
    }

    fn for_people(&self) -> String {
        let admin = match self.admin {
            Some(admin) => admin.lines(),
            None => "  Admin          not on this address: only on one of this machine, with a data directory\n"
                .to_owned(),
        };
        let webhooks: String = self.webhooks.iter().map(ServedWebhook::lines).collect();
        let (base_url, v1_base_url) = (self.public_url.base_url(), self.public_url.v1_base_url());
        let docs = self.docs.iter();
        let docs: String = docs
            .map(|url| format!("  In a browser   {url}\n"))
            .collect();
        let data = &self.data;
        let Some(Demo { tenant, token }) = self.demo else {
            return format!(
                "\n  SCIM base URL  {base_url}\n  SCIM 1.1       {v1_base_url}\n  Data           {data}\n{docs}{admin}{webhooks}\n  \
                 Tenants and tokens are those of the deployment.\n\n  Press Ctrl-C to stop.\n\n"
            );
        };
        let authorization = format!("-H 'Authorization: Bearer {token}'");
        format!(
            r#"
  SCIM base URL  {base_url}
  SCIM 1.1       {v1_base_url}
  Tenant         {tenant}
  Token          {token}
  Data           {data}
{docs}{admin}{webhooks}
  Try it:
    curl {authorization} {base_url}/ServiceProviderConfig
    curl {authorization} -H 'Content-Type: application/scim+json' -d '{{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"ada@example.com"}}' {base_url}/Users
    curl {authorization} -G --data-urlencode 'filter=userName eq "ada@example.com"' {base_url}/Users

  Press Ctrl-C to stop.

"#
        )
    }
}

/// Prints to stderr that this process brings no changes into feeds. It does for the embedded table only.
fn note_unread_stream(table: &str) {
    eprintln!(
        "This process does not read the stream of table {table}: changes become events only where the \
         functions of the template read it"
    );
}

/// Prints to stderr that an endpoint in the environment is not used.
fn note_unused_endpoint() {
    let names = ["AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL"];
    if let Some(name) = names.iter().find(|name| env::var_os(name).is_some()) {
        eprintln!(
            "{name} is set but not used, because the embedded table is served; to serve a table at \
             that endpoint, add --table NAME"
        );
    }
}

/// Listens on an address. The error is one line for people.
pub(super) async fn listen(address: &str) -> Result<TcpListener, CommandError> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| cannot_listen(address, &error))
}

/// Waits for Ctrl-C or, on Unix, SIGTERM.
pub(super) async fn end_signal() {
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

fn cannot_listen(address: &str, error: &io::Error) -> CommandError {
    CommandError::new(format!("Cannot listen on {address}: {error}"))
}

/// Reads the URL of the service in an argument.
pub(super) fn public_url(text: &str) -> Result<PublicUrl, String> {
    PublicUrl::parse(text).map_err(|error| error.detail().to_owned())
}
