"""What a sandboxed command finds: its environment, a user, and a way to the proxy while setting up.

The same in bubblewrap and in a container.
"""

PROXY_PORT = 3128
INSIDE_PROXY = "/run/egress.sock"

PATH = ":".join(
    (
        "/tmp/home/.local/bin",  # noqa: S108 - the sandbox's own
        "/tmp/home/.cargo/bin",  # noqa: S108
        "/tmp/home/go/bin",  # noqa: S108
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "/usr/local/go/bin",
    )
)
GIT = {
    "user.name": "Veelocity",
    "user.email": "veelocity@localhost",
    "safe.directory": "*",
    "init.defaultBranch": "main",
    "advice.detachedHead": "false",
}
INSIDE_ENVIRONMENT = {
    "PATH": PATH,
    "HOME": "/tmp/home",  # noqa: S108 - the sandbox's own
    "USER": "developer",
    "LOGNAME": "developer",
    "SHELL": "/bin/bash",
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    "TERM": "dumb",
    "CI": "1",
    "NO_COLOR": "1",
    "PAGER": "cat",
    "GIT_PAGER": "cat",
    "GIT_TERMINAL_PROMPT": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "npm_config_update_notifier": "false",
    "npm_config_fund": "false",
    "GIT_CONFIG_COUNT": str(len(GIT)),
    **{f"GIT_CONFIG_KEY_{number}": key for number, key in enumerate(GIT)},
    **{f"GIT_CONFIG_VALUE_{number}": value for number, value in enumerate(GIT.values())},
}

ADDRESS = f"http://127.0.0.1:{PROXY_PORT}"
JAVA = " ".join(
    f"-D{scheme}.proxyHost=127.0.0.1 -D{scheme}.proxyPort={PROXY_PORT}"
    for scheme in ("http", "https")
)
PROXY_ENVIRONMENT = {
    **dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"), ADDRESS),
    **dict.fromkeys(("NO_PROXY", "no_proxy"), "localhost,127.0.0.1,::1"),
    "JAVA_TOOL_OPTIONS": JAVA,
}

INSIDE_FILES = {
    "/etc/passwd": "developer:x:1000:1000:developer:/tmp/home:/bin/bash\n",
    "/etc/group": "developer:x:1000:\n",
    "/etc/hosts": "127.0.0.1 localhost sandbox\n::1 localhost\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}

FORWARDER = f"""
import socket, threading
def pipe(a, b):
    try:
        while chunk := a.recv(65536):
            b.sendall(chunk)
        b.shutdown(socket.SHUT_WR)
    except OSError:
        a.close(), b.close()
def relay(near):
    far = socket.socket(socket.AF_UNIX)
    try:
        far.connect({INSIDE_PROXY!r})
    except OSError:
        return near.close()
    threading.Thread(target=pipe, args=(near, far), daemon=True).start()
    pipe(far, near)
door = socket.create_server(("127.0.0.1", {PROXY_PORT}), backlog=128)
print("open", flush=True)
while True:
    near, _ = door.accept()
    threading.Thread(target=relay, args=(near,), daemon=True).start()
"""
"""Carries connections from the sandbox's loopback to the proxy's socket, by Python alone."""
