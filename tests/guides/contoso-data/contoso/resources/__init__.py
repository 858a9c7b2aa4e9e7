from dagster import EnvVar

from .crm import Crm

resources = {"crm": Crm(url=EnvVar("CRM_URL"))}
