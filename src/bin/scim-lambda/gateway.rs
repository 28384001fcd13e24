//! What API Gateway says of a request, told to the router, which does not know Lambda.

use lambda_http::lambda_runtime::LambdaEvent;
use lambda_http::request::{LambdaRequest, RequestContext};
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

/// Keeps every value of a repeated header of a REST API.
///
/// The event has the headers twice, with all their values and with the last one only, and
/// `lambda_http` would let the latter win.
pub(crate) fn keep_all_values(mut event: LambdaEvent<LambdaRequest>) -> LambdaEvent<LambdaRequest> {
    if let LambdaRequest::ApiGatewayV1(request) = &mut event.payload
        && !request.multi_value_headers.is_empty()
    {
        request.headers.clear();
    }
    event
}
