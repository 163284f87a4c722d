import django.db.models.functions.comparison
import django.db.models.functions.text
from django.db import migrations, models

import web.accounts.addresses


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0001_initial'),
    ]

    operations = [
        migrations.RemoveConstraint(model_name='user', name='user_email_lower_case'),
        migrations.AlterField(
            model_name='user',
            name='email',
            field=web.accounts.addresses.AddressColumn(max_length=254, verbose_name='e-mail address'),
        ),
        migrations.AddConstraint(
            model_name='user',
            constraint=models.CheckConstraint(
                condition=models.Q(('email', django.db.models.functions.text.Lower(django.db.models.functions.comparison.Collate('email', 'C')))),
                name='user_email_lower_case',
            ),
        ),
    ]
