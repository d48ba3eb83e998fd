from bff.config.settings import Settings as Settings
from bff.config.settings import load_settings as load_settings
from bff.errors import BffError as BffError
from bff.errors import ConfigurationError as ConfigurationError
from bff.fastapi.api_client import api_client as api_client
from bff.fastapi.dependencies import csrf_protected as csrf_protected
from bff.fastapi.dependencies import current_user as current_user
from bff.fastapi.dependencies import optional_user as optional_user
from bff.fastapi.dependencies import require as require
from bff.fastapi.installation import Bff as Bff
from bff.fastapi.installation import create_app as create_app
from bff.fastapi.user import User as User

__version__: str
