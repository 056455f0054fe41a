// What every page has: forms that call the API, dialogs, times that go on, and live parts.
import { openDialogs } from "./dialogs.js";
import { sendForms } from "./forms.js";
import { filterForms } from "./filters.js";
import { historyForms } from "./history.js";
import { navigation } from "./navigation.js";
import { keepLive, refresh } from "./parts.js";
import { watchConnection } from "./connection.js";
import { search } from "./search.js";
import { signingOut } from "./access/session.js";
import { tick } from "./times.js";

// It has waited for the caller's own change; a reload need not.
const here = new URL(location.href);
if (here.searchParams.has("at_least")) {
  here.searchParams.delete("at_least");
  history.replaceState(history.state, "", here);
}
openDialogs();
sendForms();
filterForms();
historyForms();
keepLive();
watchConnection(() => document.querySelector("main[data-refresh]") && refresh());
signingOut();
navigation();
search();
tick();
