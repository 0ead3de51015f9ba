#!/usr/bin/env python3
"""Tests of the binary's commands as a person types them: help for each, words that are wrong, the configuration.

usage: cli_test.py PARLANCE
"""
import json
import os
import subprocess
import sys
import tempfile
import unittest

PARLANCE = os.path.abspath(sys.argv.pop(1))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
COMMANDS = ["serve", "chat", "check-config", "migrate", "openapi", "asyncapi", "user", "verify", "version", "help"]


def run(*words, cwd=None, **env):
    """(exit status, standard output, standard error); nothing of the caller's settings leaks in."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PARLANCE_", "JWT_", "ALLOWED_"))}
    done = subprocess.run([PARLANCE, *words], cwd=cwd, env={**clean, **env}, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=20)
    return done.returncode, done.stdout, done.stderr


class Help(unittest.TestCase):
    def test_list(self):
        for words in [["help"], ["--help"], ["-h"]]:
            status, out, err = run(*words)
            self.assertEqual((status, err), (0, ""), words)
            for command in COMMANDS:
                self.assertIn(f"\n  {command} ", out)

    def test_each(self):
        for command in COMMANDS:
            told = run("help", command)
            self.assertEqual((told[0], told[2]), (0, ""), command)
            self.assertIn(f"usage: parlance {'[serve]' if command == 'serve' else command}", told[1])
            for words in [[command, "--help"], [command, "-h"], [command, "--config", "x", "--help"]]:
                self.assertEqual(run(*words), told, words)

    def test_lines_fit_a_terminal(self):
        for command in COMMANDS:
            for line in run("help", command)[1].splitlines():
                self.assertLessEqual(len(line), 90, line)

    def test_wrong_words(self):
        for words, said in [
            (["frobnicate"], 'there is no command "frobnicate"'),
            (["help", "frobnicate"], "there is no such command"),
            (["help", "user", "serve"], "one command at a time"),
            (["serve", "--port", "1"], "there is no option --port"),
            (["version", "now"], 'what is "now"?'),
            (["user"], "what shall be done?"),
            (["user", "create"], "something is missing"),
            (["migrate", "sideways"], "expected status or up"),
        ]:
            status, out, err = run(*words)
            self.assertEqual((status, out), (2, ""), words)
            self.assertIn(said, err)


class Commands(unittest.TestCase):
    def test_version(self):
        status, out, _ = run("version")
        self.assertEqual(status, 0)
        self.assertRegex(out, r"^parlance \d+\.\d+\.\d+\n$")

    def test_openapi(self):
        status, out, _ = run("openapi")
        document = json.loads(out)
        self.assertEqual((status, document["openapi"][:3]), (0, "3.1"))
        self.assertIn("/api/v1/auth/login", document["paths"])


class Config(unittest.TestCase):
    def check(self, text, **env):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "parlance.yaml"), "w", encoding="utf-8") as out:
                out.write(text)
            return run("check-config", cwd=folder, **env)

    def test_example_is_the_default(self):
        status, example, _ = run("check-config", "--example")
        self.assertEqual(status, 0)
        self.assertEqual(self.check(example), self.check(""))

    def test_the_document_shows_it(self):
        tool = os.path.join(ROOT, "tools", "docs_config.py")
        checked = subprocess.run([sys.executable, tool, PARLANCE, "--check"], capture_output=True, text=True, check=False)
        self.assertEqual(checked.returncode, 0, checked.stderr)

    def test_environment_wins(self):
        status, out, err = self.check("http: {port: 9000}\n", PARLANCE_HTTP_PORT="9001",
                                      ALLOWED_ORIGINS="https://a.example,https://b.example")
        self.assertEqual((status, err), (0, ""))
        self.assertIn("9001", out)
        self.assertIn("https://b.example", out)

    def test_mistyped_names_are_said(self):
        status, _, err = self.check("", PARLANCE_HTTP_PROT="1", PARLANCE_PORT="tcp://1.2.3.4:5", PARLANCE_HTTP_PORT="1",
                                    PARLANCE_PORT_8800_TCP_ADDR="1.2.3.4", PARLANCE_SERVICE_HOST="1.2.3.4")
        self.assertEqual((status, err), (0, "environment PARLANCE_HTTP_PROT: no such option, it changes nothing\n"))

    def test_secrets_are_not_shown(self):
        secret = "correct-horse-battery-staple-of-forty-chars"
        for text, env in [("", {"JWT_SECRET": secret}), (f"jwt: {{secret: {secret}}}\n", {})]:
            status, out, err = self.check(text, **env)
            self.assertEqual((status, err), (0, ""))
            self.assertNotIn(secret, out)
            self.assertIn("(set)", out)

    def test_what_is_wrong(self):
        for text, env, said in [
            ("http:\n  prot: 1\n", {}, "parlance.yaml:2: http.prot"),
            ("http:\n  port: eighty\n", {}, 'parlance.yaml:2: http.port: expected a whole number'),
            ("http:\n  port: 70000\n", {}, "from 0 to 65535"),
            ("", {"PARLANCE_HTTP_PORT": "x"}, "PARLANCE_HTTP_PORT: expected a whole number"),
            ("http: [\n", {}, "parlance.yaml:"),
            ("public_url: meet.example.org\n", {}, "parlance.yaml:1: public_url: expected the beginning"),
            ("", {"ALLOWED_ORIGINS": "https://a.example/path"}, "ALLOWED_ORIGINS: expected a list, each item a web"),
            ("http: {trusted_proxies: [10.0.0.0/33]}\n", {}, "http.trusted_proxies: expected as item an address"),
            ("media:\n  announced_addresses: [my.host]\n", {}, "parlance.yaml:2: media.announced_addresses"),
            ("media: {stun_urls: ['turn:x']}\n", {}, "expected as item a server as stun:host:port"),
            ("tls: {cert: a.pem}\n", {}, "tls.cert and tls.key: expected both or neither"),
            ("http: {port: 8443}\n", {}, "expected two different ports"),
        ]:
            status, out, err = self.check(text, **env)
            self.assertEqual((status, out), (1, ""), text)
            self.assertIn(said, err)

    def test_bad_secret_is_not_repeated(self):
        status, out, err = self.check("", JWT_SECRET="tooshort")
        self.assertEqual(status, 1)
        self.assertIn("JWT_SECRET: expected 32 to 4096 characters", err)
        self.assertNotIn("tooshort", out + err)


if __name__ == "__main__":
    unittest.main()
