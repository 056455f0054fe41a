// Who is signed in: what pages send along with a change, and signing out.
import { call } from "../api.js";

export function signingOut() {
  const button = document.querySelector("[data-sign-out]");
  button?.addEventListener("click", async () => {
    await call("DELETE", "/api/v1/sessions/current");
    location.assign("/login");
  });
}
