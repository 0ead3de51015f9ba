#!/usr/bin/env python3
"""What deploy/ ships: every file is read, every reference in it meets something, and every environment and configuration
in it is put before `parlance check-config`, which must know every name. Kubernetes' own schema is not at hand; see
docs/deploy.md for how that was checked.

usage: deploy_test.py   (PARLANCE_BUILD names the build directory)
"""
import importlib.util
import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest

import yaml

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DEPLOY = os.path.join(ROOT, "deploy")
PARLANCE = os.path.join(os.environ.get("PARLANCE_BUILD", os.path.join(ROOT, "build")), "src/parlance")


def files(folder, *endings):
    for directory, _, names in os.walk(os.path.join(DEPLOY, folder)):
        for name in sorted(names):
            if name.endswith(endings):
                yield os.path.join(directory, name)


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def check_config(environment, arguments=()):
    """What `parlance check-config` complains of: "" when it is content and knew every name."""
    plain = {k: v for k, v in os.environ.items() if not k.startswith("PARLANCE_")}
    run = subprocess.run([PARLANCE, "check-config", *arguments], env={**plain, **environment}, capture_output=True, text=True,
                         timeout=20, check=False, cwd="/")
    return run.stderr if run.returncode or run.stderr.strip() else ""


def dotenv(path):
    pairs = [line.split("=", 1) for line in read(path).splitlines() if line.strip() and not line.startswith("#")]
    return dict(pairs)


class Configurations(unittest.TestCase):
    def test_yaml_is_read(self):
        for path in files("", ".yml", ".yaml"):
            with self.subTest(path=os.path.relpath(path, ROOT)):
                list(yaml.safe_load_all(read(path)))

    def test_json_is_read(self):
        for path in files("", ".json"):
            with self.subTest(path=os.path.relpath(path, ROOT)):
                json.loads(read(path))

    def test_scripts_are_scripts(self):
        for path in files("", ".sh"):
            with self.subTest(path=os.path.relpath(path, ROOT)):
                self.assertEqual(subprocess.run(["bash", "-n", path], check=False).returncode, 0)
                self.assertTrue(os.access(path, os.X_OK))

    def test_configuration_of_the_package(self):
        self.assertEqual(check_config({}, ["--config", os.path.join(DEPLOY, "debian/parlance.yaml")]), "")


class Compose(unittest.TestCase):
    """Each compose file with the values of the example beside it."""

    def each(self):
        for path in files("", ".yml"):
            if os.path.basename(path).startswith("compose"):
                with self.subTest(path=os.path.relpath(path, ROOT)):
                    yield path, yaml.safe_load(read(path)), dotenv(os.path.join(os.path.dirname(path), ".env.example"))

    def test_values_are_in_the_example(self):
        for path, _, values in self.each():
            for name, has_default in re.findall(r"\$\{([A-Z0-9_]+)(:?-)?", read(path)):
                self.assertTrue(has_default or name in values, f"{name} is not in .env.example")

    def test_references_meet_something(self):
        for path, compose, _ in self.each():
            for name, service in compose["services"].items():
                self.assertTrue("image" in service or "build" in service, name)
                for other in service.get("depends_on", []):
                    self.assertIn(other, compose["services"], name)
                for volume in service.get("volumes", []):
                    source = volume.split(":")[0]
                    if re.match(r"[a-z]", source):
                        self.assertIn(source, compose.get("volumes", {}), name)
                    elif source.startswith("."):
                        self.assertTrue(os.path.exists(os.path.normpath(os.path.join(os.path.dirname(path), source))), f"{name}: {source}")

    def test_ports_are_given_once(self):
        for _, compose, _ in self.each():
            taken = [str(p).rsplit(":", 1)[0] + ("/udp" if "/udp" in str(p) else "")
                     for service in compose["services"].values() for p in service.get("ports", [])]
            self.assertEqual(len(taken), len(set(taken)), taken)

    def test_parlance_takes_its_environment(self):
        count = 0
        for _, compose, values in self.each():
            def fill(text):
                return re.sub(r"\$\{([A-Z0-9_]+)(?::?[-?]([^}]*))?\}", lambda m: values.get(m[1], m[2] or ""), str(text))
            for name, service in compose["services"].items():
                environment = {k: fill(v) for k, v in (service.get("environment") or {}).items()}
                if "parlance:" in str(service.get("image", "")):
                    self.assertEqual(check_config(environment), "", name)
                    count += 1
        self.assertGreater(count, 0)


class FullCompose(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = os.path.join(DEPLOY, "docker")
        cls.compose = yaml.safe_load(read(os.path.join(cls.folder, "compose.full.yml")))
        cls.values = dotenv(os.path.join(cls.folder, ".env.example"))
        cls.secrets = [name for name, value in cls.values.items() if "change-me" in value]

    def check_secrets(self, values):
        run = subprocess.run(["bash", os.path.join(self.folder, "check-secrets.sh")], env={"PATH": os.environ["PATH"], **values},
                             capture_output=True, text=True, timeout=20, check=False)
        return run.returncode, run.stderr

    def test_unchanged_secrets_are_refused(self):
        good = {name: "0123456789abcdef" * 4 for name in self.secrets}
        self.assertEqual(self.check_secrets(good), (0, ""))
        for name in self.secrets:
            self.assertIn(name, self.compose["services"]["secrets"]["environment"])
            for value in (self.values[name], "", "short", "a/b:c@" + "x" * 40):
                code, said = self.check_secrets({**good, name: value})
                self.assertEqual(code, 1, value)
                self.assertIn(name, said)

    def test_nothing_starts_before_they_are_looked_at(self):
        services = self.compose["services"]
        def reaches(name):
            return name == "secrets" or any(reaches(other) for other in services[name].get("depends_on", []))
        for name in services:
            self.assertTrue(reaches(name), name)

    def test_every_service_runs_once(self):
        run = [s for one in self.compose["services"].values() if isinstance(one.get("environment"), dict)
               for s in one["environment"].get("PARLANCE_SERVICES_RUN", "").split(",") if s]
        known = subprocess.run([PARLANCE, "check-config", "--example"], capture_output=True, text=True, check=True).stdout
        self.assertEqual(sorted(run), sorted(re.search(r"each item all, or of ([a-z, ]+)\.", known)[1].split(", ")))

    def test_the_ports_that_people_know(self):
        ports = {str(port) for one in self.compose["services"].values() for port in one.get("ports", [])}
        ports = {port.replace("127.0.0.1:", "") for port in ports}
        for wanted in ("8800:8800", "8443:8443", "443:8443", "9000:9000", "9001:9001", "8801:9090", "8802:9093", "8803:16686", "8804:3000",
                       "8805:3100", "8810:8810/udp"):
            self.assertIn(wanted, ports)

    def test_prometheus_asks_all_of_them(self):
        config = yaml.safe_load(read(os.path.join(DEPLOY, "prometheus/prometheus.yml")))
        asked = config["scrape_configs"][0]["dns_sd_configs"][0]["names"]
        run = [name for name, one in self.compose["services"].items()
               if isinstance(one.get("environment"), dict) and "PARLANCE_SERVICES_RUN" in one["environment"]]
        self.assertEqual(sorted(asked), sorted(run))

    def test_grafana_finds_what_it_is_told_of(self):
        sources = yaml.safe_load(read(os.path.join(DEPLOY, "grafana/provisioning/datasources/parlance.yml")))["datasources"]
        for source in sources:
            name, port = re.fullmatch(r"http://([a-z]+):(\d+)", source["url"]).groups()
            self.assertIn(name, self.compose["services"])
            self.assertTrue(any(str(p).endswith(f":{port}") for p in self.compose["services"][name]["ports"]), source["url"])
        known = {source["uid"] for source in sources}
        for path in files("grafana/dashboards", ".json"):
            for panel in json.loads(read(path))["panels"]:
                self.assertIn(panel["datasource"]["uid"], known)

    @unittest.skipUnless(shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin"), "there is no nginx")
    def test_nginx_takes_it(self):
        nginx = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
        with tempfile.TemporaryDirectory() as directory:
            os.mkdir(f"{directory}/tls")
            script = read(os.path.join(self.folder, "prepare.sh")).replace("/tls/", f"{directory}/tls/").replace("/blobs", directory)
            script = script.replace("chown 8800:8800", "test -d")
            subprocess.run(["bash", "-c", script], env={"PATH": os.environ["PATH"], "PUBLIC_URL": "https://meet.example.org:8443/x"},
                           check=True, capture_output=True, timeout=30)
            own = read(os.path.join(DEPLOY, "nginx/compose.conf")).replace("/etc/parlance/", f"{directory}/tls/")
            own = own.replace("server gateway:", "server 127.0.0.1:").replace("server signaling:", "server 127.0.0.1:")
            own = own.replace("listen 8800;", "listen 127.0.0.1:0;").replace("listen 8443", "listen 127.0.0.1:18443")
            path = os.path.join(directory, "nginx.conf")
            with open(path, "w", encoding="utf-8") as f:
                f.write(f"pid {directory}/pid; error_log stderr; events {{}} http {{ {own.replace('127.0.0.1:0;', '127.0.0.1:18800;')} }}")
            run = subprocess.run([nginx, "-t", "-p", directory, "-c", path], capture_output=True, text=True, check=False)
            self.assertIn("syntax is ok", run.stderr)


class Kubernetes(unittest.TestCase):
    """The units beside base/ are kustomizations of it: here their patches are put on by hand."""

    @classmethod
    def setUpClass(cls):
        cls.folder = os.path.join(DEPLOY, "k8s")
        cls.top = yaml.safe_load(read(os.path.join(cls.folder, "kustomization.yaml")))
        cls.pods, cls.objects = {}, []
        for resource in cls.top["resources"]:
            path = os.path.join(cls.folder, resource.replace("secret.yaml", "secret.example.yaml"))
            if os.path.isdir(path):
                cls.add_unit(resource, path)
            else:
                cls.objects += list(yaml.safe_load_all(read(path)))
        for thing in cls.objects:
            template = thing.get("spec", {}).get("template")
            if template:
                cls.pods[thing["metadata"]["name"]] = template["spec"]["containers"][0]

    @classmethod
    def add_unit(cls, name, path):
        unit = yaml.safe_load(read(os.path.join(path, "kustomization.yaml")))
        base = yaml.safe_load(read(os.path.join(cls.folder, "base/kustomization.yaml")))
        for file in base["resources"]:
            thing = yaml.safe_load(read(os.path.join(cls.folder, "base", file)))
            for patch in unit["patches"]:
                if patch["target"]["kind"] == thing["kind"]:
                    for operation in yaml.safe_load(patch["patch"]):
                        cls.apply(thing, operation)
            thing["metadata"]["name"] += unit["nameSuffix"]
            cls.objects.append(thing)

    @staticmethod
    def apply(thing, operation):
        *way, last = operation["path"].strip("/").split("/")
        for step in way:
            thing = thing[int(step) if isinstance(thing, list) else step]
        if operation["op"] == "add" and last == "-":
            thing.append(operation["value"])
            return
        key = int(last) if isinstance(thing, list) else last
        if operation["op"] == "replace":
            thing[key]  # must be there
        thing[key] = operation["value"]

    def of(self, kind):
        return [thing for thing in self.objects if thing["kind"] == kind]

    def test_every_service_runs_somewhere(self):
        run = [s for pod in self.pods.values() if "args" in pod and pod["args"][0] == "serve" for s in pod["args"][2].split(",")]
        known = subprocess.run([PARLANCE, "check-config", "--example"], capture_output=True, text=True, check=True).stdout
        all_services = re.search(r"each item all, or of ([a-z, ]+)\.", known)[1].split(", ")
        self.assertEqual(sorted(run), sorted(all_services))

    def test_parlance_takes_its_environment(self):
        shared = {**self.of("ConfigMap")[0]["data"], **self.of("Secret")[0]["stringData"]}
        for name, pod in self.pods.items():
            with self.subTest(pod=name):
                own = {e["name"]: e.get("value", "10.1.2.3").replace("$(HOST_IP)", "10.1.2.3") for e in pod.get("env", [])
                       if e["name"] != "HOST_IP"}
                arguments = pod["args"][1:] if pod.get("args", [""])[0] == "serve" else []
                environment = {**shared, **own, **({"PARLANCE_SERVICES_RUN": arguments[1]} if arguments else {})}
                self.assertEqual(check_config(environment), "")

    def test_pods_can_be_moved(self):
        for thing in self.of("Deployment"):
            pod, name = self.pods[thing["metadata"]["name"]], thing["metadata"]["name"]
            ports = {p["name"] for p in pod["ports"]}
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                self.assertIn(pod[probe]["httpGet"]["port"], ports, name)
            self.assertGreaterEqual(thing["spec"]["replicas"], 2, name)
            self.assertIn(name, [b["metadata"]["name"] for b in self.of("PodDisruptionBudget")])
            scaler = next(s for s in self.of("HorizontalPodAutoscaler") if s["metadata"]["name"] == name)
            self.assertLessEqual(scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"])
            service = next(s for s in self.of("Service") if s["metadata"]["name"] == name)
            for port in service["spec"]["ports"]:
                self.assertIn(port["targetPort"], ports, name)

    def test_the_ingress_goes_somewhere(self):
        services = {s["metadata"]["name"]: {p["name"] for p in s["spec"]["ports"]} for s in self.of("Service")}
        for path in self.of("Ingress")[0]["spec"]["rules"][0]["http"]["paths"]:
            backend = path["backend"]["service"]
            self.assertIn(backend["port"]["name"], services[backend["name"]])


class Upstreams(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        spec = importlib.util.spec_from_file_location("upstreams", os.path.join(DEPLOY, "gpu-ai/upstreams.py"))
        cls.it = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(cls.it)

    def test_nodes(self):
        nodes = self.it.read_nodes(["# gpu", "", "triton a.example:8001 3 # the big one", "transcription [fd00::1]:8000"])
        self.assertEqual(nodes, {"triton": [("a.example:8001", 3)], "transcription": [("[fd00::1]:8000", 1)]})

    def test_what_is_no_node(self):
        for line in ("triton", "triton a", "triton a:0", "triton a:65536", "triton a:1 0", "triton a:1 x", "other a:1", "triton a;b:1",
                     "triton [::g]:1", "triton a:1 1 1", "triton a b:1", "triton \u0661:1", "triton a:\u0661"):
            with self.subTest(line=line), self.assertRaises(self.it.Wrong) as told:
                self.it.read_nodes([line])
            self.assertIn("line 1:", str(told.exception))
        with self.assertRaises(self.it.Wrong):
            self.it.read_nodes(["# none"])
        with self.assertRaises(self.it.Wrong):
            self.it.read_nodes(["triton a:1", "triton a:1"])

    @unittest.skipUnless(shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin"), "there is no nginx")
    def test_nginx_takes_it(self):
        nginx = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
        with tempfile.TemporaryDirectory() as directory:
            nodes = self.it.read_nodes(read(os.path.join(DEPLOY, "gpu-ai/nodes.example")).splitlines())
            path = os.path.join(directory, "nginx.conf")
            with open(path, "w", encoding="utf-8") as f:
                f.write(f"pid {directory}/pid; error_log stderr; events {{}} http {{ {self.it.configuration(nodes, '127.0.0.1:8086')} }}")
            run = subprocess.run([nginx, "-t", "-p", directory, "-c", path], capture_output=True, text=True, check=False)
            self.assertIn("syntax is ok", run.stderr)


if __name__ == "__main__":
    unittest.main()
