// Starts the client: language, theme, router, sign-in; then draws what the path names. Every view is a chunk of its own.
import { render } from "preact";
import { App } from "./app/app";
import { restore } from "./app/api";
import { startRouter } from "./app/router";
import { startTheme } from "./app/theme";
import { startI18n } from "./i18n/i18n";

const root = document.getElementById("app");

startTheme();
startRouter();
void restore();
void startI18n().then(() => root && render(<App />, root));
