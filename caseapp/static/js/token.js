// Sends a form's words by a script. Signing in again, also in another tab, renews the token of the browser's forms: the
// server then answers with the new one, which all forms of this page get, and the words are sent once more.
const EXPIRED = 400;

/** Put a new token into every form of the page. */
function renewToken(token) {
  for (const field of document.querySelectorAll('input[name="csrf_token"]')) field.value = token;
}

/** Send a body of form fields, with a header that names who sends it; return the server's answer. */
export async function sendWords(address, body, sender, more = {}) {
  const request = () => fetch(address, { ...more, method: "POST", body, headers: { "X-Requested-With": sender } });
  const response = await request();
  const isJson = (response.headers.get("Content-Type") || "").startsWith("application/json");
  if (response.status !== EXPIRED || !isJson) return response;
  const { csrf_token: token } = await response.clone().json();
  if (!token) return response;
  renewToken(token);
  body.set("csrf_token", token);
  return request();
}
