//! What API Gateway says of a request, told to the router, which does not know Lambda.

use lambda_http::request::RequestContext;
use lambda_http::{Request, RequestExt};
use scim_lambda::http::Gateway;

/// Puts the gateway's domain, stage and path beside the request.
pub(crate) fn introduce(mut request: Request) -> Request {
    let gateway = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV2(context)) => Gateway::new(
            context.domain_name.as_deref(),
            context.stage.as_deref(),
            context.http.path.as_deref(),
        ),
        Some(RequestContext::ApiGatewayV1(context)) => Gateway::new(
            context.domain_name.as_deref(),
            context.stage.as_deref(),
            context.path.as_deref(),
        ),
        _ => return request,
    };
    request.extensions_mut().insert(gateway);
    request
}
