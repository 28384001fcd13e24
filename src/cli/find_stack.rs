//! Finds the parts of a deployment by the name of its stack alone: CloudFormation knows them as the outputs of the
//! stack.
//!
//! It takes the permission `cloudformation:DescribeStacks`. Who has no such permission names the parts instead.

use aws_config::SdkConfig;
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::error::ProvideErrorMetadata as _;
use aws_sdk_cloudformation::types::Output;

use super::CommandError;
use crate::http::PublicUrl;
use crate::protocol::Error;

/// The path of the output `BaseUrl` below the public URL.
const BASE_PATH: &str = "/scim/v2";

/// The outputs of a stack.
pub(super) struct FoundStack {
    name: String,
    outputs: Vec<Output>,
}

impl FoundStack {
    /// Looks a stack up, in the account and region of `sdk`.
    pub(super) async fn look_up(sdk: &SdkConfig, name: &str) -> Result<Self, CommandError> {
        let region = sdk.region().map_or("", AsRef::as_ref);
        let described = Client::new(sdk).describe_stacks().stack_name(name).send();
        let described = described.await.map_err(|error| {
            let is_missing = error
                .message()
                .is_some_and(|text| text.contains("does not exist"));
            match is_missing {
                true => missing(name, region),
                false => Error::unavailable(format!("The stack {name} cannot be looked up"))
                    .with_source(error)
                    .into(),
            }
        })?;
        let stack = described.stacks.unwrap_or_default().into_iter().next();
        let stack = stack.ok_or_else(|| missing(name, region))?;
        Ok(Self {
            name: name.to_owned(),
            outputs: stack.outputs.unwrap_or_default(),
        })
    }

    /// The name of its table.
    pub(super) fn table(&self) -> Result<String, CommandError> {
        self.output("TableName", "--table")
    }

    /// The name of its function for operators.
    pub(super) fn function(&self) -> Result<String, CommandError> {
        self.output("AdminFunctionName", "--function")
    }

    /// Where clients reach it.
    pub(super) fn public_url(&self) -> Option<PublicUrl> {
        let base_url = self.find("BaseUrl")?;
        PublicUrl::parse(base_url.strip_suffix(BASE_PATH)?).ok()
    }

    fn output(&self, key: &str, argument: &str) -> Result<String, CommandError> {
        let found = self.find(key).map(str::to_owned);
        found.ok_or_else(|| {
            CommandError::new(format!(
                "The stack {} has no output {key}: it is no stack of this template, or not complete; name the part \
                 itself with {argument}",
                self.name
            ))
        })
    }

    fn find(&self, key: &str) -> Option<&str> {
        let mut outputs = self.outputs.iter();
        let found = outputs.find(|output| output.output_key() == Some(key));
        found.and_then(Output::output_value)
    }
}

fn missing(name: &str, region: &str) -> CommandError {
    CommandError::new(format!(
        "There is no stack {name} in {region} in this account; --region and --aws-profile name others"
    ))
}
