// Shows the document of the service. The credential that is typed in stays in the memory of this page. With it,
// the document is read again, so that the page shows the resource types of its tenant.
const dark = matchMedia("(prefers-color-scheme: dark)");
const followColours = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", followColours);
followColours();

// The address at which this page was opened, without a slash at its end. The description names the public URL of the
// service, but the page may call no address but its own. So its requests go there, and those for tokens too.
const here = new URL(".", location.href).href.replace(/\/$/, "");

function servedHere(text) {
  const description = JSON.parse(text);
  description.servers = [{ url: here }];
  description.components.securitySchemes.oauth.flows.clientCredentials.tokenUrl = `${here}/oauth/token`;
  return JSON.stringify(description);
}

let authorization;

function authorizationOf({ bearer, basic } = {}) {
  if (bearer?.value) return `Bearer ${bearer.value}`;
  if (!basic?.value?.username) return undefined;
  const bytes = new TextEncoder().encode(`${basic.value.username}:${basic.value.password ?? ""}`);
  return `Basic ${btoa(String.fromCharCode(...bytes))}`;
}

const readAgain = (change) => ({ specActions, specSelectors }) => (payload) => {
  change(payload);
  specActions.download(specSelectors.url());
};

SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#ui",
  deepLinking: true,
  docExpansion: "none",
  defaultModelsExpandDepth: 0,
  persistAuthorization: false,
  tryItOutEnabled: true,
  validatorUrl: null,
  requestInterceptor: (request) => {
    if (request.loadSpec && authorization) request.headers = { ...request.headers, Authorization: authorization };
    return request;
  },
  plugins: [
    () => ({
      statePlugins: {
        spec: {
          wrapActions: {
            updateSpec: (original) => (text) => original(servedHere(text)),
          },
        },
        auth: {
          wrapActions: {
            authorizeOauth2: (original, system) => (payload) => {
              original(payload);
              readAgain(({ token }) => (authorization = `Bearer ${token.access_token}`))(system)(payload);
            },
            authorize: (original, system) => (payload) => {
              original(payload);
              readAgain((change) => (authorization = authorizationOf(change)))(system)(payload);
            },
            logout: (original, system) => (payload) => {
              original(payload);
              readAgain(() => (authorization = undefined))(system)(payload);
            },
          },
        },
      },
    }),
  ],
});
