// Starts the client: language, theme, router, sign-in; then draws what the path names. Every view is a chunk of its own.
import { effect } from "@preact/signals";
import { render } from "preact";
import { App, preload } from "./app/app";
import { restore, signedIn } from "./app/api";
import { setShownZone } from "./app/dates";
import { startRouter } from "./app/router";
import { startTheme } from "./app/theme";
import { startTitle } from "./app/title";
import { adoptLanguage, startI18n } from "./i18n/i18n";

const root = document.getElementById("app");

preload(location.pathname);
startTheme();
startTitle();
startRouter();
effect(() => setShownZone(signedIn.value?.user.time_zone ?? ""));
effect(() => adoptLanguage(signedIn.value?.user.locale ?? ""));
void restore();
void startI18n().then(() => root && render(<App />, root));
