"""Kinds of Kubernetes objects: what they are called, and which operations change and remove them.

A kind that is not Kubernetes' own means what its controller makes of it, and is taken for the worst of its class. Kinds
that are called a policy or an authentication decide who may talk to whom.
"""

import re
from typing import NamedTuple


class ObjectKind(NamedTuple):
    """A kind: its name in the singular, and the operations that change and delete one object of it."""

    name: str
    change: str
    delete: str


_NAMES = {
    "deployment": "deploy deployments",
    "statefulset": "sts statefulsets",
    "daemonset": "ds daemonsets",
    "replicaset": "rs replicasets",
    "replicationcontroller": "rc replicationcontrollers",
    "pod": "po pods",
    "service": "svc services",
    "ingress": "ing ingresses",
    "endpoints": "ep endpoint",
    "endpointslice": "endpointslices",
    "configmap": "cm configmaps",
    "secret": "secrets",
    "horizontalpodautoscaler": "hpa horizontalpodautoscalers",
    "verticalpodautoscaler": "vpa verticalpodautoscalers",
    "poddisruptionbudget": "pdb poddisruptionbudgets",
    "resourcequota": "quota resourcequotas",
    "limitrange": "limits limitranges",
    "job": "jobs",
    "cronjob": "cj cronjobs",
    "networkpolicy": "netpol networkpolicies",
    "role": "roles",
    "rolebinding": "rolebindings",
    "clusterrole": "clusterroles",
    "clusterrolebinding": "clusterrolebindings",
    "serviceaccount": "sa serviceaccounts",
    "certificatesigningrequest": "csr certificatesigningrequests",
    "persistentvolumeclaim": "pvc persistentvolumeclaims",
    "persistentvolume": "pv persistentvolumes",
    "volumesnapshot": "volumesnapshots",
    "namespace": "ns namespaces",
    "node": "no nodes",
    "customresourcedefinition": "crd crds customresourcedefinitions",
    "storageclass": "sc storageclasses",
    "priorityclass": "pc priorityclasses",
    "ingressclass": "ingressclasses",
    "runtimeclass": "runtimeclasses",
    "apiservice": "apiservices",
    "validatingwebhookconfiguration": "validatingwebhookconfigurations",
    "mutatingwebhookconfiguration": "mutatingwebhookconfigurations",
    "event": "ev events",
    "componentstatus": "cs componentstatuses",
    "all": "",
}
_SINGULAR = {alias: name for name, aliases in _NAMES.items() for alias in (name, *aliases.split())}
_CHANGES = {
    "workload": "deployment statefulset daemonset replicaset replicationcontroller",
    "pod": "pod",
    "service": "service ingress endpoints endpointslice",
    "configmap": "configmap",
    "secret": "secret",
    "autoscaler": "horizontalpodautoscaler verticalpodautoscaler poddisruptionbudget",
    "quota": "resourcequota limitrange",
    "job": "job cronjob",
    "network_policy": "networkpolicy",
    "access": "role rolebinding clusterrole clusterrolebinding serviceaccount certificatesigningrequest",
    "volume_claim": "persistentvolumeclaim",
    "storage": "persistentvolume volumesnapshot",
    "namespace": "namespace",
    "cluster_object": "node customresourcedefinition storageclass priorityclass ingressclass runtimeclass apiservice "
    "validatingwebhookconfiguration mutatingwebhookconfiguration",
}
_CLASS = {name: kind for kind, names in _CHANGES.items() for name in names.split()}
# Classes whose change or deletion goes by the name of another class.
_CHANGED_AS = {"pod": "custom", "storage": "cluster_object"}
_DELETED_AS = {
    "workload": "workload",
    "pod": "pod",
    "secret": "secret",
    "network_policy": "access",
    "access": "access",
    "volume_claim": "storage",
    "storage": "storage",
    "namespace": "namespace",
    "cluster_object": "cluster_object",
    "custom": "custom",
}
_GROUPS = re.compile(r"(?:v[0-9a-z]+\.)?(?:apps|batch|autoscaling|policy|[a-z]+(?:\.[a-z]+)*\.k8s\.io)")
_KIND = re.compile(r"[a-z][a-z0-9.-]{0,100}")
_POLICY = re.compile(r"[a-z]*(?:policy|policies|authentications?)(?:\..*)?")


def object_kind(word: str) -> ObjectKind | None:
    """The kind that a word of a command names, or None where it is no name of a kind."""
    said = word.lower()
    if not _KIND.fullmatch(said):
        return None
    base, _, group = said.partition(".")
    own = _SINGULAR.get(base) if not group or _GROUPS.fullmatch(group) else None
    name = own or said
    others = "network_policy" if _POLICY.fullmatch(said) else "custom"
    kind = others if own is None else _CLASS.get(name, "custom")
    return ObjectKind(
        name=name,
        change=f"kubernetes.{_CHANGED_AS.get(kind, kind)}.change",
        delete=f"kubernetes.{_DELETED_AS.get(kind, 'object')}.delete",
    )
