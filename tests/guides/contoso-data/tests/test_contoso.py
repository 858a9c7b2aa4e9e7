from dagster import materialize

from contoso.assets.crm import contacts
from contoso.assets.web import visits
from contoso.resources.crm import Crm


def test_all():
    assert materialize([contacts, visits], resources={"crm": Crm(url="http://crm")}).success
