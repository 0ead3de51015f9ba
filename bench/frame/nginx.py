"""nginx on a free port, with a configuration of what is asked and nothing of /etc or /var."""
import os

from frame.server import Server, free_port

NCHAN_MODULE = "load_module /usr/lib/nginx/modules/ngx_nchan_module.so;"
NCHAN_LIMITS = "nchan_max_reserved_memory 256M; nchan_message_timeout 5s;"
NCHAN_ROOM = """
        location = /sub { nchan_subscriber websocket; nchan_channel_id room; nchan_subscriber_first_message newest; }
        location = /pub { nchan_publisher; nchan_channel_id room; }
"""

CONFIGURATION = """
%(modules)s
worker_processes auto;
worker_rlimit_nofile 20000;
daemon off;
pid %(directory)s/nginx.pid;
error_log %(directory)s/error.log;
events { worker_connections 16000; }
http {
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path %(directory)s/body;
    proxy_temp_path %(directory)s/proxy;
    fastcgi_temp_path %(directory)s/fastcgi;
    uwsgi_temp_path %(directory)s/uwsgi;
    scgi_temp_path %(directory)s/scgi;
    %(limits)s
    server {
        listen 127.0.0.1:%(port)d backlog=4096;
        %(locations)s
    }
}
"""


class Nginx(Server):
    """locations: what it answers, in nginx's words; modules and limits: what that needs outside of `server`."""

    def __init__(self, directory, locations, modules="", limits="", name="nginx"):
        self.http_port = free_port()
        self.url = f"http://127.0.0.1:{self.http_port}"
        path = os.path.join(directory, "nginx.conf")
        with open(path, "w", encoding="utf-8") as f:
            f.write(CONFIGURATION % {"directory": directory, "port": self.http_port, "locations": locations, "modules": modules,
                                     "limits": limits})
        super().__init__(name, ["nginx", "-c", path, "-p", directory], directory, self.http_port)


class Nchan(Nginx):
    """nginx with nchan: tells all who listen (/sub) what is posted (/pub), keeps nothing on disk, asks nobody."""

    def __init__(self, directory, more_locations=""):
        super().__init__(directory, NCHAN_ROOM + more_locations, NCHAN_MODULE, NCHAN_LIMITS, "nchan")
