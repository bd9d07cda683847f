"""Makes of an image's own configuration what an OCI runtime starts: `bundle.py ROOT MOUNT... < config > config.json`.

As an engine does with `--read-only --cap-drop ALL --security-opt no-new-privileges`; each MOUNT is `FROM:TO`, with
`:ro` at its end for one that cannot be written to. The network is the machine's own, where the test's servers listen.
<https://github.com/opencontainers/runtime-spec/blob/main/config.md>
"""

import json
import sys

root, *mounts = sys.argv[1:]
image = json.load(sys.stdin)
user, group = (int(part) for part in image["User"].split(":"))
nothing = {kind: [] for kind in ("bounding", "effective", "permitted", "inheritable", "ambient")}


def bind(mount):
    source, destination, *rest = mount.split(":")
    options = ["rbind", "nosuid", "nodev", "ro" if rest == ["ro"] else "rw"]
    return {"destination": destination, "source": source, "type": "bind", "options": options}


json.dump(
    {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": user, "gid": group},
            "args": (image["Entrypoint"] or []) + (image["Cmd"] or []),
            "env": image["Env"],
            "cwd": image["WorkingDir"] or "/",
            "capabilities": nothing,
            "noNewPrivileges": True,
        },
        "root": {"path": root, "readonly": True},
        "hostname": "stakeout",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {
                "destination": "/dev",
                "type": "tmpfs",
                "source": "tmpfs",
                "options": ["nosuid", "strictatime", "mode=755", "size=64k"],
            },
            *map(bind, mounts),
        ],
        "linux": {
            "namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount")],
            "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/sysrq-trigger"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys"],
        },
    },
    sys.stdout,
)
