"""Containers: from the SDK's inputs to the daemon's request and back."""

from __future__ import annotations

import base64
import io
import re
import tarfile
import time
from pathlib import Path
from typing import Any

import docker.errors

from . import images
from .session import InitError, PluginError, Session, daemons_words, label_list, label_map

Bag = dict[str, Any]
MIB = 1024 * 1024
NANOSECONDS = {"ns": 1, "us": 1_000, "µs": 1_000, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
UPDATED = frozenset(
    """
    restart maxRetryCount cpuShares memory memoryReservation cpuSet memorySwap
    deviceReadBps deviceReadIops deviceWriteBps deviceWriteIops
    """.split()  # noqa: SIM905 - a table of names
)


def create(session: Session, inputs: Bag) -> tuple[str, Bag]:
    """Create the container, connect it, upload its files, start it, wait for it as far as asked for.

    Raises:
        InitError: it was made, and something after that failed.
    """
    image = inputs["image"]
    try:
        images.find(session, image, inputs.get("platform", ""))
    except PluginError as fault:
        msg = f"Unable to create container with image {image}: {fault}"
        raise PluginError(msg) from fault
    with daemons_words("Unable to create container"):
        request = _config(inputs) | {"HostConfig": _host_config(inputs), "NetworkingConfig": {}}
        made = session.api.create_container_from_config(  # type: ignore[no-untyped-call]
            request, inputs["name"], inputs.get("platform")
        )
    identity = str(made["Id"])
    try:
        _connect(session, identity, inputs)
        _upload(session, identity, inputs)
        _start(session, identity, inputs)
        logs = _attach(session, identity, inputs)
    except PluginError as fault:
        raise InitError(str(fault), identity, {}) from fault
    return identity, (read(session, identity, inputs) or {}) | logs


def _config(inputs: Bag) -> Bag:
    """Return what the daemon calls the container's configuration, without what is empty."""
    volumes = [each["containerPath"] for each in inputs.get("volumes", ()) if each.get("containerPath")]
    exposed = [f"{each['internal']}/{each['protocol']}" for each in inputs.get("ports", ())]
    config = {
        "Image": inputs["image"],
        "Hostname": inputs.get("hostname"),
        "Domainname": inputs.get("domainname"),
        "Tty": inputs.get("tty"),
        "OpenStdin": inputs.get("stdinOpen"),
        "StopSignal": inputs.get("stopSignal"),
        "StopTimeout": inputs.get("stopTimeout"),
        "Env": inputs.get("envs"),
        "Cmd": inputs.get("command"),
        "Entrypoint": inputs.get("entrypoints"),
        "User": inputs.get("user"),
        "WorkingDir": inputs.get("workingDir"),
        "ExposedPorts": {port: {} for port in exposed},
        "Volumes": {path: {} for path in volumes},
        "Labels": label_map(inputs.get("labels")),
        "Healthcheck": _health_config(inputs.get("healthcheck")),
    }
    if "" in inputs.get("command", ()):
        msg = "values for command may not be empty"
        raise PluginError(msg)
    return _filled(config)


def _health_config(check: Bag | None) -> Bag | None:
    if not check:
        return None
    names = {
        "Interval": "interval",
        "Timeout": "timeout",
        "StartPeriod": "startPeriod",
        "StartInterval": "startInterval",
    }
    times = {theirs: nanoseconds(check.get(ours, "0s")) for theirs, ours in names.items()}
    return {"Test": check.get("tests", []), "Retries": check.get("retries", 0)} | _filled(times)


def _host_config(inputs: Bag) -> Bag:
    capabilities = inputs.get("capabilities", {})
    options = inputs.get("securityOpts", [])
    unconfined = "systempaths=unconfined" in options
    config = {
        "Privileged": inputs.get("privileged"),
        "PublishAllPorts": inputs.get("publishAllPorts"),
        "RestartPolicy": _restart_policy(inputs),
        "Runtime": inputs.get("runtime"),
        "Mounts": [_mount(each) for each in inputs.get("mounts", ())],
        "AutoRemove": inputs.get("rm"),
        "ReadonlyRootfs": inputs.get("readOnly"),
        "LogConfig": _filled({"Type": inputs.get("logDriver"), "Config": inputs.get("logOpts")}),
        "Tmpfs": inputs.get("tmpfs"),
        "PortBindings": _bindings(inputs),
        "ExtraHosts": [f"{each['host']}:{each['ip']}" for each in inputs.get("hosts", ())],
        "Binds": _binds(inputs),
        "VolumesFrom": [each["fromContainer"] for each in inputs.get("volumes", ()) if each.get("fromContainer")],
        "Ulimits": [
            {"Name": each["name"], "Soft": each["soft"], "Hard": each["hard"]} for each in inputs.get("ulimits", ())
        ],
        "CapAdd": capabilities.get("adds"),
        "CapDrop": capabilities.get("drops"),
        "Devices": [_device(each) for each in inputs.get("devices", ())],
        "Dns": inputs.get("dns"),
        "DnsOptions": inputs.get("dnsOpts"),
        "DnsSearch": inputs.get("dnsSearches"),
        "SecurityOpt": [each for each in options if each != "systempaths=unconfined"],
        "NetworkMode": inputs.get("networkMode"),
        "UsernsMode": inputs.get("usernsMode"),
        "PidMode": inputs.get("pidMode"),
        "Sysctls": inputs.get("sysctls"),
        "IpcMode": inputs.get("ipcMode"),
        "GroupAdd": inputs.get("groupAdds"),
        "CgroupnsMode": inputs.get("cgroupnsMode"),
        "CgroupParent": inputs.get("cgroupParent"),
        "StorageOpt": inputs.get("storageOpts"),
    }
    unmasked: Bag = {"MaskedPaths": [], "ReadonlyPaths": []} if unconfined else {}
    return _filled(config) | _limits(inputs) | unmasked | {"Init": bool(inputs.get("init"))}


def _limits(inputs: Bag) -> Bag:
    swap = inputs.get("memorySwap", 0)
    cpus = inputs.get("cpus")
    return _filled(
        {
            "Memory": inputs.get("memory", 0) * MIB,
            "MemoryReservation": inputs.get("memoryReservation", 0) * MIB,
            "MemorySwap": swap * MIB if swap > 0 else swap,
            "ShmSize": inputs.get("shmSize", 0) * MIB,
            "NanoCpus": int(float(cpus) * 10**9) if cpus else 0,
            "CpuPeriod": 0 if cpus else inputs.get("cpuPeriod"),
            "CpuQuota": 0 if cpus else inputs.get("cpuQuota"),
            "CpuShares": inputs.get("cpuShares"),
            "CpusetCpus": inputs.get("cpuSet"),
        }
    )


def _restart_policy(inputs: Bag) -> Bag:
    return {"Name": inputs.get("restart", "no"), "MaximumRetryCount": inputs.get("maxRetryCount", 0)}


def _mount(mount: Bag) -> Bag:
    made = {
        "Type": mount["type"],
        "Target": mount["target"],
        "Source": mount.get("source", ""),
        "ReadOnly": mount.get("readOnly", False),
    }
    if mount["type"] == "bind" and (options := mount.get("bindOptions")):
        made["BindOptions"] = {"Propagation": options.get("propagation", "")}
    if mount["type"] == "volume" and (options := mount.get("volumeOptions")):
        driver = {"Name": options.get("driverName", ""), "Options": options.get("driverOptions", {})}
        labels = label_map(options.get("labels"))
        made["VolumeOptions"] = {"NoCopy": options.get("noCopy", False), "Labels": labels, "DriverConfig": driver}
    if mount["type"] == "tmpfs" and (options := mount.get("tmpfsOptions")):
        made["TmpfsOptions"] = {"SizeBytes": options.get("sizeBytes", 0), "Mode": options.get("mode", 0)}
    return made


def _bindings(inputs: Bag) -> Bag:
    made: dict[str, list[Bag]] = {}
    for port in inputs.get("ports", ()):
        binding = {"HostIp": port.get("ip", ""), "HostPort": str(port.get("external", 0))}
        made.setdefault(f"{port['internal']}/{port['protocol']}", []).append(binding)
    return made


def _binds(inputs: Bag) -> list[str]:
    made = []
    for volume in inputs.get("volumes", ()):
        source, target = volume.get("hostPath") or volume.get("volumeName"), volume.get("containerPath")
        if bool(volume.get("fromContainer")) == bool(target):
            msg = "Unable to parse volumes: a volume entry names either a container path or a source container"
            raise PluginError(msg)
        if source and target:
            mode = ("ro" if volume.get("readOnly") else "rw") + "".join(f",{volume.get('selinuxRelabel') or ''}")
            made.append(f"{source}:{target}:{mode.rstrip(',')}")
    return made


def _device(device: Bag) -> Bag:
    inside = device.get("containerPath") or device["hostPath"]
    return {"PathOnHost": device["hostPath"], "PathInContainer": inside, "CgroupPermissions": device["permissions"]}


def _connect(session: Session, identity: str, inputs: Bag) -> None:
    """Leave the default network and join those asked for."""
    if not inputs.get("networksAdvanced"):
        return
    with daemons_words("Unable to disconnect the default network"):
        try:
            session.api.disconnect_container_from_network(identity, "bridge")
        except docker.errors.APIError as fault:
            if "is not connected to the network bridge" not in str(fault.explanation):
                raise
    for network in inputs["networksAdvanced"]:
        with daemons_words(f"Unable to connect to network '{network['name']}'"):
            session.api.connect_container_to_network(
                identity,
                network["name"],
                aliases=network.get("aliases"),
                ipv4_address=network.get("ipv4Address"),
                ipv6_address=network.get("ipv6Address"),
                link_local_ips=network.get("linkLocalIps"),
                mac_address=network.get("macAddress"),
                driver_opt=dict(each.split("=", 1) for each in network.get("driverOpts", ()) if "=" in each) or None,
            )


def _upload(session: Session, identity: str, inputs: Bag) -> None:
    for upload in inputs.get("uploads", ()):
        content = _content(upload)
        header = tarfile.TarInfo(upload["file"])
        header.size = len(content)
        header.mtime = int(time.time())
        usual = 0o744 if upload.get("executable") else 0o644
        header.mode = int(upload["permissions"], 8) if upload.get("permissions") else usual
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            tar.addfile(header, io.BytesIO(content))
        with daemons_words("Unable to upload volume content"):
            session.api.put_archive(identity, "/", archive.getvalue())


def _content(upload: Bag) -> bytes:
    given = [name for name in ("content", "contentBase64", "source") if upload.get(name)]
    if len(given) != 1:
        which = "only one of" if given else "one of"
        msg = f"error with upload content: {which} 'content', 'content_base64', or 'source' must be set"
        raise PluginError(msg)
    if given == ["contentBase64"]:
        return base64.b64decode(upload["contentBase64"])
    if given == ["source"]:
        try:
            return Path(upload["source"]).read_bytes()
        except OSError as fault:
            msg = f"could not read file: {fault}"
            raise PluginError(msg) from fault
    return str(upload["content"]).encode()


def _start(session: Session, identity: str, inputs: Bag) -> None:
    if not inputs.get("start", True):
        return
    with daemons_words("Unable to start container"):
        session.api.start(identity)
    if inputs.get("wait") and not session.until(lambda: _healthy(session, identity), inputs.get("waitTimeout", 60)):
        msg = "container failed to be in healthy state"
        raise PluginError(msg)


def _healthy(session: Session, identity: str) -> bool:
    with daemons_words("error inspecting container state"):
        health = session.api.inspect_container(identity)["State"].get("Health")
    if not health:
        msg = (
            "you have supplied a 'wait' argument, but the container does not have a healthcheck defined. "
            "Please remove the 'wait' argument or add a 'healthcheck' attribute"
        )
        raise PluginError(msg)
    return bool(health["Status"] == "healthy")


def _attach(session: Session, identity: str, inputs: Bag) -> Bag:
    if not inputs.get("attach"):
        return {}
    with daemons_words("Unable to wait container end of execution"):
        session.api.wait(identity)
        if not inputs.get("logs"):
            return {}
        return {"containerLogs": session.api.logs(identity).decode(errors="replace")}


def read(session: Session, identity: str, state: Bag) -> Bag | None:
    """Return what the daemon says, None when the container is gone; what it does not say stays as `state` has it."""
    with daemons_words("error fetching container information from Docker"):
        try:
            found = session.api.inspect_container(identity)
        except docker.errors.NotFound:
            return None
    kept = {key: value for key, value in state.items() if key not in ("networkDatas", "exitCode")}
    return kept | _read_config(found, state) | _read_limits(found) | _read_state(found, state)


def _read_state(found: Bag, state: Bag) -> Bag:
    running, must_run = found["State"]["Running"], state.get("mustRun")
    settings = found["NetworkSettings"]
    made: Bag = {
        "bridge": settings.get("Bridge", ""),
        "networkDatas": [_network_data(name, each) for name, each in sorted(settings["Networks"].items())],
    }
    if state.get("ports") and (running or must_run):
        made["ports"] = _read_ports(settings.get("Ports") or {})
    if not running:
        made["exitCode"] = found["State"]["ExitCode"]
        if must_run:
            made["mustRun"] = False  # so that the next `up` shows a change and starts it
    return made


def _network_data(name: str, found: Bag) -> Bag:
    return {
        "networkName": name,
        "ipAddress": found["IPAddress"],
        "ipPrefixLength": found["IPPrefixLen"],
        "gateway": found["Gateway"],
        "globalIpv6Address": found["GlobalIPv6Address"],
        "globalIpv6PrefixLength": found["GlobalIPv6PrefixLen"],
        "ipv6Gateway": found["IPv6Gateway"],
        "macAddress": found["MacAddress"],
    }


def _read_ports(found: dict[str, list[Bag] | None]) -> list[Bag]:
    made = []
    for key, bindings in sorted(found.items(), key=lambda each: int(each[0].split("/")[0])):
        internal, protocol = key.split("/")
        made += [
            {
                "internal": int(internal),
                "external": int(each["HostPort"]),
                "ip": each["HostIp"],
                "protocol": protocol,
            }
            for each in bindings or ()
        ]
    return made


def _read_config(found: Bag, state: Bag) -> Bag:
    config, host = found["Config"], found["HostConfig"]
    made = {
        "name": found["Name"].lstrip("/"),
        "rm": host["AutoRemove"],
        "readOnly": host["ReadonlyRootfs"],
        "image": found["Image"] if str(state.get("image", "")).startswith("sha256:") else config["Image"],
        "hostname": config["Hostname"],
        "domainname": config["Domainname"],
        "command": config["Cmd"] or [],
        "entrypoints": config["Entrypoint"] or [],
        "user": config["User"],
        "dns": host["Dns"] or [],
        "dnsOpts": host["DnsOptions"] or [],
        "dnsSearches": host["DnsSearch"] or [],
        "securityOpts": host["SecurityOpt"] or [],
        "publishAllPorts": host["PublishAllPorts"],
        "restart": host["RestartPolicy"]["Name"],
        "maxRetryCount": host["RestartPolicy"]["MaximumRetryCount"],
        "init": bool(host.get("Init")),
        "workingDir": config["WorkingDir"],
        "runtime": host["Runtime"],
        "mounts": [_read_mount(each) for each in host.get("Mounts") or ()],
        "tmpfs": host.get("Tmpfs") or {},
        "hosts": [dict(zip(("host", "ip"), each.split(":", 1), strict=True)) for each in host["ExtraHosts"] or ()],
        "platform": found["Platform"],
        "privileged": host["Privileged"],
        "logDriver": host["LogConfig"]["Type"],
        "storageOpts": host.get("StorageOpt") or {},
        "networkMode": host["NetworkMode"],
        "usernsMode": host["UsernsMode"],
        "sysctls": host.get("Sysctls") or {},
        "ipcMode": host["IpcMode"],
        "groupAdds": host["GroupAdd"] or [],
        "tty": config["Tty"],
        "stdinOpen": config["OpenStdin"],
        "stopSignal": config.get("StopSignal", ""),
    }
    return made | _read_where_set(config, host, state)


def _read_where_set(config: Bag, host: Bag, state: Bag) -> Bag:
    """Return what is read back only where the state or the daemon has it."""
    made: Bag = {}
    if host["CapAdd"] or host["CapDrop"]:
        made["capabilities"] = {"adds": host["CapAdd"] or [], "drops": host["CapDrop"] or []}
    if state.get("logOpts"):
        made["logOpts"] = host["LogConfig"]["Config"] or {}
    if state.get("pidMode"):
        made["pidMode"] = host["PidMode"]
    if state.get("ulimits"):
        made["ulimits"] = [{key.lower(): value for key, value in each.items()} for each in host["Ulimits"] or ()]
    if config.get("StopTimeout") is not None:
        made["stopTimeout"] = config["StopTimeout"]
    if check := config.get("Healthcheck"):
        made["healthcheck"] = {
            "tests": check.get("Test") or [],
            "interval": duration(check.get("Interval", 0)),
            "timeout": duration(check.get("Timeout", 0)),
            "startPeriod": duration(check.get("StartPeriod", 0)),
            "startInterval": duration(check.get("StartInterval", 0)),
            "retries": check.get("Retries", 0),
        }
    return made


def _read_mount(found: Bag) -> Bag:
    made = {
        "target": found["Target"],
        "source": found.get("Source", ""),
        "type": found["Type"],
        "readOnly": found.get("ReadOnly", False),
    }
    if options := found.get("BindOptions"):
        made["bindOptions"] = {"propagation": options.get("Propagation", "")}
    if options := found.get("VolumeOptions"):
        driver = options.get("DriverConfig") or {}
        made["volumeOptions"] = {
            "noCopy": options.get("NoCopy", False),
            "labels": label_list(options.get("Labels")),
            "driverName": driver.get("Name", ""),
            "driverOptions": driver.get("Options") or {},
        }
    if options := found.get("TmpfsOptions"):
        made["tmpfsOptions"] = {"sizeBytes": options.get("SizeBytes", 0), "mode": options.get("Mode", 0)}
    return made


def _read_limits(found: Bag) -> Bag:
    host = found["HostConfig"]
    swap = host["MemorySwap"]
    made = {
        "memory": host["Memory"] // MIB,
        "memoryReservation": host["MemoryReservation"] // MIB,
        "memorySwap": swap // MIB if swap > 0 else swap,
        "shmSize": host["ShmSize"] // MIB,
        "cpuShares": host["CpuShares"],
        "cpuSet": host["CpusetCpus"],
    }
    return made | ({"cpus": f"{host['NanoCpus'] / 10**9:g}"} if host.get("NanoCpus") else {})


def update(session: Session, identity: str, olds: Bag, news: Bag) -> None:
    """Start what should run, and set limits and restart policy. Nothing else is applied: so does the official one."""
    if news.get("mustRun") and not olds.get("mustRun") and news.get("start", True):
        with daemons_words("Unable to start container"):
            session.api.start(identity)
    if all((olds.get(name) or None) == (news.get(name) or None) for name in UPDATED):
        return
    limits = _limits(news)
    with daemons_words("Unable to update a container"):
        session.api.update_container(
            identity,
            cpu_shares=limits.get("CpuShares"),
            cpuset_cpus=limits.get("CpusetCpus"),
            mem_limit=limits.get("Memory"),
            mem_reservation=limits.get("MemoryReservation"),
            memswap_limit=limits.get("MemorySwap"),
            restart_policy=_restart_policy(news),  # type: ignore[arg-type]
        )


def delete(session: Session, identity: str, state: Bag) -> None:
    """Stop the container and remove it: at once unless `destroyGraceSeconds` says otherwise, whatever `stopTimeout`."""
    if not state.get("attach"):
        with daemons_words(f"Error stopping container {identity}"):
            _unless_gone(lambda: session.api.stop(identity, timeout=state.get("destroyGraceSeconds", 0)))
    with daemons_words(f"Error deleting container {identity}"):
        _unless_gone(lambda: session.api.remove_container(identity, v=state.get("removeVolumes", True), force=True))
    with daemons_words(f"Error waiting for container removal '{identity}'"):
        _unless_gone(lambda: session.api.wait(identity, condition="removed" if state.get("rm") else "not-running"))


def _unless_gone(call: Any) -> None:
    try:
        call()
    except docker.errors.APIError as fault:
        words = str(fault.explanation)
        if not isinstance(fault, docker.errors.NotFound) and "is already in progress" not in words:
            raise


def nanoseconds(text: str) -> int:
    """Return a duration such as 1m30s as the daemon counts, 0 for what is none."""
    parts = re.findall(r"([0-9.]+)(ns|us|µs|ms|s|m|h)", text)
    return sum(int(float(number) * NANOSECONDS[unit]) for number, unit in parts)


def duration(value: int) -> str:
    """Return a duration as Go writes it: 1m0s for sixty seconds."""
    if value < NANOSECONDS["s"]:
        unit = next((name for name in ("ms", "us") if value >= NANOSECONDS[name]), "ns")
        return f"{value / NANOSECONDS[unit]:g}{unit.replace('us', 'µs')}" if value else "0s"
    hours, rest = divmod(value, NANOSECONDS["h"])
    minutes, rest = divmod(rest, NANOSECONDS["m"])
    seconds = f"{rest / NANOSECONDS['s']:g}s"
    return (f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else "") + seconds


def _filled(bag: Bag) -> Bag:
    return {key: value for key, value in bag.items() if value}
